"""Tasks by name, and what all of them promise."""

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from envs import base, registry

TASKS = ("ant", "cartpole", "inverted_pendulum")


def test_registry_makes_all_tasks_and_they_speak_the_protocol() -> None:
    assert set(TASKS) <= set(registry.names()) and registry.names() == sorted(registry.names())
    for name in TASKS:
        assert isinstance(registry.make(name), base.Env)


@pytest.mark.parametrize(("wrong", "hint"), [("antt", "did you mean 'ant'?"), ("zzzzzz", "(known: ")])
def test_unknown_task_names_the_nearest_on_one_line(wrong: str, hint: str) -> None:
    with pytest.raises(registry.UnknownTask) as error:
        registry.make(wrong)
    message = str(error.value)
    assert isinstance(error.value, ValueError)
    assert repr(wrong) in message and hint in message and "cartpole" in message and "\n" not in message


def test_a_user_can_register_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    marker: Any = object()
    registry.register("mine", lambda: marker)
    assert registry.make("mine") is marker and "mine" in registry.names()


def test_mujoco_is_imported_only_when_a_task_needs_it() -> None:
    code = "import sys; from envs import registry; registry.make('cartpole'); sys.exit('mujoco' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", TASKS)
def test_states_are_strongly_typed_and_keep_their_shape(name: str) -> None:
    env = registry.make(name)
    shape, dtype = ((), jnp.int32) if env.discrete else ((env.action_size,), jnp.float32)
    action = jax.ShapeDtypeStruct(shape, dtype)
    first = jax.eval_shape(env.reset, jax.random.key(0))
    second = jax.eval_shape(env.step, first, action)
    assert first.obs.shape == (env.observation_size,)
    assert jax.tree.structure(first) == jax.tree.structure(second)  # type: ignore[operator]
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert (a.shape, a.dtype, a.weak_type) == (b.shape, b.dtype, b.weak_type) == (a.shape, jnp.float32, False)
