"""What an executor brings along to its training: averaged weights, a stop at the first loss that is not a number."""
