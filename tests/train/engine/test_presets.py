"""Presets."""

from awr_mjx.envs import registry
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import presets
from tests.trained import pendulum_run, python, refusal  # noqa: F401


def test_presets_are_valid_and_of_tasks_that_exist() -> None:
    for name, config in presets.PRESETS.items():
        assert config.env == name and name in registry.names()
        config.validate()
    assert presets.preset("mine").env == "mine"
    presets.preset("mine").validate()


def test_a_run_of_before_there_was_giving_up_goes_on_without() -> None:
    for env, want in (("imitate/dog", 0.0), ("ant", registry.TaskOptions.give_up)):  # which ant does not take
        values = settings.to_dict(presets.preset(env))
        assert settings.from_dict(values, "config.json") == presets.preset(env)
        del values["task"]["give_up"]
        assert settings.from_dict(values, "config.json").task.give_up == want
