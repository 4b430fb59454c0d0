"""Text to numbers: tokenise, train a tokenizer."""
