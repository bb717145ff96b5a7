"""The training engine: settings, the jitted loop, what the host does between epochs, checkpoints. Knows no program."""
