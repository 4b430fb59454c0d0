"""Runs looked at: a page of one, a table of many, the differences between some. Reads what runs left, runs nothing."""
