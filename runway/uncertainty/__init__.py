"""How sure a number is: intervals of one metric, and of the difference between two runs. Knows arrays, and no files."""
