"""The files of docs/examples as modules."""

import importlib.util
import pathlib
from typing import Any

EXAMPLES = pathlib.Path(__file__).parents[1] / "docs" / "examples"


def example(name: str) -> Any:
    """A new module of the file NAME.py."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
