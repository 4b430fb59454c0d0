"""Several tasks trained together: MultiTaskExecutor, its heads and encoders, and the mixing of the tasks' batches."""
