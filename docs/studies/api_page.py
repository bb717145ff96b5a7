"""Writes docs/api.md, the public names of `awr_mjx.api` with their docstrings: `python -m docs.studies.api_page`."""

import inspect
import pathlib
import types
from collections.abc import Callable
from typing import Any

from awr_mjx import api

PAGE = pathlib.Path(__file__).parents[1] / "api.md"
HEAD = """# From Python

Made from the code by `python -m docs.studies.api_page`. `from awr_mjx.api import ...`:
"""


def _members(kind: type) -> list[str]:
    """Public methods and properties of a class, with the first line of what they do."""
    found = []
    for name, value in vars(kind).items():
        text = inspect.getdoc(value)
        own = isinstance(value, types.FunctionType | property) and text and (name == "__call__" or name[0] != "_")
        if own and text:
            call = str(inspect.signature(value)) if isinstance(value, types.FunctionType) else ""
            found.append(f"- `{kind.__name__ if name == '__call__' else name}{call}`: {text.splitlines()[0]}")
    return found


def _call(function: Callable[..., Any]) -> str:
    """The parameters of a function with their defaults, without types."""
    signature = inspect.signature(function)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def page() -> str:
    """The page, in Markdown."""
    parts = [HEAD]
    for name in sorted(api.__all__, key=lambda name: (name[0].isupper(), name)):
        value = getattr(api, name)
        call = _call(value) if inspect.isfunction(value) else ""
        parts.append(f"## {name}{call}\n\n```text\n{inspect.getdoc(value)}\n```\n")
        if inspect.isclass(value) and value.__module__.startswith("awr_mjx.api") and _members(value):
            parts.append("\n".join(_members(value)) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page())
