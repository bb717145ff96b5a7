"""Advantage-Weighted Regression with thousands of simulated robots at once: algorithm, tasks and programs."""
