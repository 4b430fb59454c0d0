"""What a run leaves on disk: the only place that knows the names of its files."""
