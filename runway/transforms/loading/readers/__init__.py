"""Readers of data files, one module for each form: each gives the rows of one file as Arrow tables, part by part."""
