"""Tasks, and how thousands of them are stepped as one. Knows no algorithm."""
