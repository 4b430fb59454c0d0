"""Rows and columns of datasets: select, filter, split, save."""
