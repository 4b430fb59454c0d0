"""As in the original; see the package."""
