"""The demos' own DataOps: every module here is imported before a pipeline runs."""
