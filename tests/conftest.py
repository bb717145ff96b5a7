"""What every test needs: checked array shapes, and JAX set up as in the programs."""

import os
import signal
from collections.abc import Iterator

import jaxtyping
import pytest

import tests.typechecker

# Before anything imports it: every array that enters or leaves the algorithm's functions is checked against its shape.
jaxtyping.install_import_hook("awr_mjx.algorithm", f"{tests.typechecker.__name__}.checked")

from awr_mjx.envs import registry  # noqa: E402  (what it imports may import `awr_mjx`)
from awr_mjx.train.engine.jax_setup import start_jax  # noqa: E402  (it imports `awr_mjx`)

start_jax()
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup, all that tests start would ignore it


@pytest.fixture(autouse=True, scope="module")
def _tasks() -> Iterator[None]:
    """Tasks that a module's tests register are not there for the next module's."""
    before = dict(registry._FACTORIES)
    yield
    registry._FACTORIES.clear()
    registry._FACTORIES.update(before)


@pytest.fixture(autouse=True)
def _variables() -> Iterator[None]:
    """What a test's program sets, such as `MUJOCO_GL` by a film, is not there for the programs of the next test."""
    before = dict(os.environ)
    yield
    for name in set(before) | set(os.environ):
        if name not in before:
            del os.environ[name]
        elif os.environ.get(name) != before[name]:
            os.environ[name] = before[name]
