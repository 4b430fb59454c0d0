"""``runway migrate``: rewrite a project that was written for the original runway_for_ml, as far as that is safe."""
