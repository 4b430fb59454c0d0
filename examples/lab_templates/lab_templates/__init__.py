"""Our lab's configs, beside this file, and in `plugin` what they name."""
