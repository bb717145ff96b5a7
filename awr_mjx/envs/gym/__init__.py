"""Gymnasium's tasks in JAX."""
