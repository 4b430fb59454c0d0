"""Where outputs are kept: bytes and folders. Knows nothing of code."""
