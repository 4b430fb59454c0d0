"""Sweeps: one config with other values, as many trainings as there are combinations, and the best of them."""
