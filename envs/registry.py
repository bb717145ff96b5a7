"""Tasks by name. A factory imports what its task needs when it is called, so the rest of the package stays light."""

import difflib
from collections.abc import Callable

from envs.base import Env

_FACTORIES: dict[str, Callable[[], Env]] = {}


class UnknownTask(ValueError):
    """No task has that name; the message is one line and says which names are near."""


def register(name: str, factory: Callable[[], Env]) -> None:
    """Makes `make(name)` return `factory()`; a later registration of the same name replaces the earlier one."""
    _FACTORIES[name] = factory


def names() -> list[str]:
    """Returns all registered names in alphabetical order."""
    return sorted(_FACTORIES)


def make(name: str) -> Env:
    """Returns a new task called `name`.

    Raises:
      UnknownTask: if there is none.
    """
    if name not in _FACTORIES:
        near = difflib.get_close_matches(name, names(), n=3)
        hint = f": did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise UnknownTask(f"unknown task {name!r}{hint} (known: {', '.join(names())})")
    return _FACTORIES[name]()


def _ant() -> Env:
    from envs.gym_mujoco import Ant

    return Ant()


def _cartpole() -> Env:
    from envs.cartpole import CartPole

    return CartPole()


def _inverted_pendulum() -> Env:
    from envs.inverted_pendulum import InvertedPendulum

    return InvertedPendulum()


register("ant", _ant)
register("cartpole", _cartpole)
register("inverted_pendulum", _inverted_pendulum)
