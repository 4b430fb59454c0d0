"""From datasets to batches: dataloaders, collating, batches of like length."""
