"""Sentence pairs: load, clean, encode, batch, score."""
