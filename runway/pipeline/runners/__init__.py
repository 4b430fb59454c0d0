"""What runs a plan: one file a way to run it."""
