"""Advantage-Weighted Regression: pure functions over arrays. Knows no environment, no file and no flag."""
