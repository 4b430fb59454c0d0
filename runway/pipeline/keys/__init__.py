"""What a key is made of: code, values and files, each as a digest. Knows nothing of where entries are kept."""
