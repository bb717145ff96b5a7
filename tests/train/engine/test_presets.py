"""Presets."""

from envs import registry
from tests.trained import pendulum_run, python, refusal  # noqa: F401
from train.engine import presets


def test_presets_are_valid_and_of_tasks_that_exist() -> None:
    for name, config in presets.PRESETS.items():
        assert config.env == name and name in registry.names()
        config.validate()
    assert presets.preset("mine").env == "mine"
    presets.preset("mine").validate()
