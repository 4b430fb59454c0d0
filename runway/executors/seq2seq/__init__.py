"""Text to text: the executor, a Transformer from scratch, decoding, and the export that other programs load."""
