"""Tasks by name, and what all of them promise."""

import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from awr_mjx.envs import base, registry
from awr_mjx.train.engine.command_line import parse
from tests.tasks import Chain

TASKS = ("ant", "cartpole", "inverted_pendulum")


def test_registry_makes_all_tasks_and_they_speak_the_protocol() -> None:
    assert set(TASKS) <= set(registry.names()) and registry.names() == sorted(registry.names())
    for name in TASKS:
        assert isinstance(registry.make(name), base.Env)


@pytest.mark.parametrize(
    ("wrong", "hint"), [("antt", ": did you mean 'ant'?"), ("zzzzzz", ": known are ant, cartpole, ")]
)
def test_unknown_task_names_the_nearest_on_one_line(wrong: str, hint: str) -> None:
    with pytest.raises(registry.UnknownTask) as error:
        registry.make(wrong)
    message = str(error.value)
    assert isinstance(error.value, ValueError)
    assert f"{wrong!r}{hint}" in message and "\n" not in message


@pytest.mark.parametrize(
    ("theirs", "here"), [("Ant-v5", "ant"), ("Ant-v2", "paper/ant"), ("LunarLander-v3", "lunar_lander")]
)
def test_gymnasiums_names_are_known(theirs: str, here: str) -> None:
    assert registry.ours(theirs) == here and registry.ours(here) == here and here in registry.names()
    registry.find(theirs)
    assert parse(["--env", theirs]) == parse(["--env", here])
    assert theirs not in registry.names()


def test_another_version_of_gymnasiums_is_not_taken_for_ours() -> None:
    with pytest.raises(registry.UnknownTask, match="unknown task 'Ant-v4': did you mean 'Ant-v5' or 'Ant-v2'"):
        registry.make("Ant-v4")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is registered in a test is forgotten after it."""
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.setattr(registry.own_tasks, "read_so_far", [])


def test_a_user_can_register_a_task_and_anew(own: None) -> None:
    markers: list[Any] = [object(), object()]
    for marker in markers:
        registry.register("mine", lambda marker=marker: marker)
        assert registry.make("mine") is marker and "mine" in registry.names()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cartpole", "'cartpole' is a task of this project: register yours under another name"),
        ("paper/ant", "'paper/ant' is a task of this project"),
        ("brax/mine", "'brax/mine' could never be asked for"),
        ("playground/", "could never be asked for"),
        ("", "'' could never be asked for"),
        ("list", "could never be asked for"),
        ("all", "could never be asked for"),
        ("a,b", "could never be asked for"),
        (" a", "could never be asked for"),
        ("a\n", "could never be asked for"),
        (3, "3 could never be asked for"),
    ],
)
def test_a_name_that_means_something_else_is_refused(own: None, name: Any, words: str) -> None:
    before = dict(registry._FACTORIES)
    with pytest.raises(base.BrokenTask, match=words) as error:
        registry.register(name, lambda: NotImplemented)
    assert "\n" not in str(error.value) and before == registry._FACTORIES


def test_a_task_itself_is_no_factory(own: None) -> None:
    with pytest.raises(base.BrokenTask, match=r"'chain' must be .* a function or class that .*, not with a Chain"):
        registry.register("chain", Chain())  # type: ignore[arg-type]


class Unbuildable(Chain):
    def __init__(self) -> None:
        raise ValueError("my model\nis missing")


class Leaving(Chain):
    def __init__(self) -> None:
        raise SystemExit(0)


class Choosy(Chain):
    def __init__(self) -> None:
        raise base.UnknownTask("choosy needs a licence")


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        (Unbuildable, r"broken task: building 'odd' raises ValueError: my model is missing \(.*test_registry.py:\d+\)"),
        (Leaving, r"broken task: building 'odd' raises SystemExit: 0 \(.*test_registry.py:\d+\)"),
        (lambda mass, end=0: Chain(), "broken task: what 'odd' was registered with needs arguments: mass"),
        (Choosy, "choosy needs a licence"),
    ],
)
def test_a_factory_that_fails_is_one_line(own: None, factory: Any, message: str) -> None:
    registry.register("odd", factory)
    with pytest.raises((base.BrokenTask, base.UnknownTask), match="^" + message) as error:
        registry.make("odd")
    assert "\n" not in str(error.value)


def test_an_unknown_name_may_be_that_of_an_own_task(own: None) -> None:
    with pytest.raises(registry.UnknownTask, match=r"known are .*; tasks of your own need --tasks FILE.py$"):
        registry.make("point")
    registry.register("mine", Chain)
    with pytest.raises(registry.UnknownTask, match="walker2d") as error:
        registry.make("point")
    assert "--tasks" not in str(error.value)


@pytest.mark.parametrize(("task", "package"), [("cartpole", "mujoco"), ("imitate/march", "mujoco.mjx")])
def test_what_takes_seconds_to_import_is_imported_only_when_a_task_needs_it(task: str, package: str) -> None:
    code = (
        f"import sys; from awr_mjx.envs import registry; registry.make('{task}'); sys.exit('{package}' in sys.modules)"
    )
    without = os.environ | {"MUJOCO_GL": ""}  # with graphics that it names, MuJoCo is tried at once
    assert subprocess.run([sys.executable, "-c", code], check=False, env=without).returncode == 0


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
