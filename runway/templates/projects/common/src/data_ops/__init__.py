"""The project's transforms: every module here is imported before a pipeline runs."""
