"""What Lightning calls while it trains for an experiment: checkpoints, exact resume, early ends, progress, signals."""
