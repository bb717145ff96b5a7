"""What `python -m train.benchmark` can measure, a module each."""
