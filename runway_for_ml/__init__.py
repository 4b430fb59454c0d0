"""The import paths and habits of projects that were written for the original runway_for_ml, on runway's own classes.

Only such a project imports this package; ``runway migrate`` rewrites one so that it needs it no longer. What is here
adapts and re-exports; nothing is done here that runway does not do. See ``docs/moving_in.md``.
"""
