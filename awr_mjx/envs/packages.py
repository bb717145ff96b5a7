"""What to install for tasks and programs that need more than the rest does."""


def install(extra: str) -> str:
    """Returns the command that adds an optional part of `pyproject.toml`; this project is on no package index."""
    return f"pip install -e '.[{extra}]' in the clone of awr_mjx"
