"""Ready-made transforms that make and use values of this floor: trained runs and their predictions."""
