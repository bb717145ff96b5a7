"""What every program says and reads: command lines, errors, files, the list of tasks."""
