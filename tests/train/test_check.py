"""Is a task sound: what the check sees."""

import jax
import pytest

from envs import registry
from envs.base import State
from tests.tasks import Broken, Walk
from tests.trained import pendulum_run, python, refusal  # noqa: F401
from train import check


class Frozen(Walk):
    """Every episode starts in the same way."""

    def reset(self, key: jax.Array) -> State:
        return super().reset(jax.random.key(1))


@pytest.mark.parametrize(
    ("task", "broken", "stale"), [(Walk(), False, False), (Broken(), True, False), (Frozen(), False, True)]
)
def test_a_check_sees_what_is_wrong(task: registry.Env, broken: bool, stale: bool) -> None:
    found = check.check(task, num_envs=64, steps=100)
    assert found["ends"] > 64 and (found["broken"] > 0) == broken
    assert (found["stale"] > check.STALE * found["ends"]) == stale
    assert (found["starts"] == 1) == stale


def test_a_check_of_a_task_that_is_not_there_fails_and_goes_on() -> None:
    result = python("-m", "train.check", "--env", "antt,cartpole", "--steps", "100")
    assert result.returncode == 1 and "did you mean 'ant'" in result.stdout and "sound" in result.stdout
    assert "verdict" in result.stdout and "repeated starts" in result.stdout
    assert "\nrepeated starts: resets to the very state" in result.stdout  # what it is, said below the table
