"""The type checker that tests apply to `awr_mjx.algorithm`."""

from collections.abc import Callable
from typing import Any

from beartype import beartype


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Beartype for all but constructors: dataclasses also carry templates, slices and batches of themselves."""
    return function if function.__name__ == "__init__" else beartype(function)
