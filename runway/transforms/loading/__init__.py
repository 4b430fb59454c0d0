"""Where data comes from: hub and local datasets, files, SQLite."""
