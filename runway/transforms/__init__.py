"""The DataOps: base classes in ``base``, ready-made ones in the modules beside it, one theme each."""
