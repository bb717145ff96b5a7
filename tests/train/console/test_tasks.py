"""The list of tasks."""

from awr_mjx.envs import registry
from tests.trained import pendulum_run, python, refusal  # noqa: F401


def test_the_list_shows_every_task() -> None:
    result = python("-m", "train.main", "--env", "list")
    assert result.returncode == 0, result.stderr
    for name in registry.names():
        assert name in result.stdout
    for extra in ("brax", "playground"):
        assert f"{extra}/" in result.stdout
