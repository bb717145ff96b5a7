"""Trained policies as files that others play."""
