"""What an executor brings along to its training: averaged weights, what to do at a loss that is not a number."""
