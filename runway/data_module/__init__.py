"""The import path of the first releases; the classes live in ``runway.transforms`` and ``runway.registry``."""
