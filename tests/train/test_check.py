"""Is a task sound: what the check sees."""

import jax
import jax.numpy as jnp
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import State
from awr_mjx.train import check
from tests.runs import here
from tests.tasks import Broken, Walk
from tests.trained import pendulum_run, python, refusal  # noqa: F401


class Frozen(Walk):
    """Every episode starts in the same way."""

    def reset(self, key: jax.Array) -> State:
        return super().reset(jax.random.key(1))


class Few(Walk):
    """Episodes start in one of four ways, seven of ten in the same."""

    def reset(self, key: jax.Array) -> State:
        return super().reset(jax.random.key(jnp.maximum(jax.random.randint(key, (), -6, 4), 0)))


@pytest.mark.parametrize(
    ("task", "broken", "starts"), [(Walk(), False, 64), (Broken(), True, 64), (Frozen(), False, 1), (Few(), False, 4)]
)
def test_a_check_sees_what_is_wrong(task: registry.Env, broken: bool, starts: int) -> None:
    found = check.check(task, num_envs=64, steps=100)
    assert found["ends"] > 64 and (found["broken"] > 0) == broken
    assert check.fault(found) == broken
    assert found["starts"] >= starts if starts == 64 else found["starts"] == starts
    assert found["repeat_chance"] == pytest.approx({64: 0.0, 4: 0.52, 1: 1.0}[starts], abs=0.15 * (starts == 4))


class Over(Walk):
    """Every step ends the episode, as where `done` says that it is not done."""

    def step(self, state: State, action: jax.Array) -> State:
        return super().step(state, action).replace(done=jnp.ones(()))  # type: ignore[attr-defined]


def test_episodes_of_one_step_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", {"over": (Over, ""), "walk": (Walk, "")})
    done = here(check.main, "--env", "over,walk", "--steps", 100)
    (note,) = [line for line in done.stdout.splitlines() if "first step" in line]
    assert note == "over: every episode ends in its first step: is done the wrong way round?"


@pytest.mark.parametrize(
    ("ends", "stale", "chance", "fault"),
    [
        (1000, 20, 0.0, False),
        (1000, 101, 0.0, True),
        (1000, 270, 0.25, False),  # four starts, drawn alike
        (1000, 1000, 0.25, True),  # four starts, but an environment has its own
        (10, 10, 0.25, True),
        (10, 6, 0.25, False),
        (1000, 1000, 1.0, False),
        (0, 0, 0.0, False),
    ],
)
def test_repeated_starts_are_a_fault_where_chance_does_not_explain_them(
    ends: int, stale: int, chance: float, fault: bool
) -> None:
    assert check.fault({"ends": ends, "broken": 0, "stale": stale, "repeat_chance": chance}) == fault


def test_a_check_of_a_task_that_is_not_there_fails_and_goes_on() -> None:
    result = python("-m", "train.check", "--env", "antt,cartpole", "--steps", "100")
    assert result.returncode == 1 and "did you mean 'ant'" in result.stdout and "sound" in result.stdout
    assert "verdict" in result.stdout and "repeated starts" in result.stdout
    assert "\nrepeated starts: resets to the very state" in result.stdout  # what it is, said below the table
