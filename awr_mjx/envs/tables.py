"""Large arrays of a task, such as motion clips, as an argument of the programs that step it.

As constants they would lie in each program: compiled with it, and another program for every other clip.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax


def of(env: Any) -> Any:
    """The arrays that task `env` holds as `tables`, a pytree; of one that has none, nothing."""
    return getattr(env, "tables", ())


@contextmanager
def lent(env: Any, tables: Any) -> Iterator[None]:
    """While a program is made of `env`, its tables are those that the program is given."""
    if not hasattr(env, "tables"):
        yield
        return
    own, env.tables = env.tables, tables
    try:
        yield
    finally:
        env.tables = own


class Program:
    """A jitted function of some arguments and, after them, arrays that stay, such as a task's tables.

    It is called without these.
    """

    def __init__(self, jitted: Any, tables: Any) -> None:
        self.jitted, self._tables = jitted, tables

    def __call__(self, *args: Any) -> Any:
        """What the function gives for `args` and the tables."""
        return self.jitted(*args, self._tables)

    def lower(self, *args: Any) -> jax.stages.Lowered:
        """The jitted function lowered for (descriptions of) `args` and the tables."""
        return self.jitted.lower(*args, self._tables)

    def compile(self, *args: Any) -> tuple[Callable[..., Any], int]:
        """The program compiled for (descriptions of) `args`, and the bytes that it works in."""
        program = self.lower(*args).compile()
        usage = program.memory_analysis()
        return lambda *args: program(*args, self._tables), usage.temp_size_in_bytes if usage else 0


def jit(function: Callable[..., Any], env: Any, **options: Any) -> Program:
    """`jax.jit` of a function that steps or resets task `env`; `options` are those of `jax.jit`."""

    def given(*args: Any) -> Any:
        with lent(env, args[-1]):
            return function(*args[:-1])

    given.__name__ = getattr(function, "__name__", "given")  # by which profiles and the compiler call it
    return Program(jax.jit(given, **options), of(env))
