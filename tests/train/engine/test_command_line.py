"""What training is told, and what it makes of what it is not told."""

import pytest

from train.console.errors import UserError
from train.engine.command_line import parse


def test_training_takes_the_options_of_a_task() -> None:
    for args, option, value in (
        (["--env.physics", "exact"], "physics", "exact"),
        (["--env.full_obs"], "full_obs", True),
        (["--env.randomize=true"], "randomize", True),
        (["--env.impl", "warp"], "impl", "warp"),
    ):
        config = parse(["--env", "hopper", *args, "--batch_size", "32"]).config
        assert getattr(config.task, option) == value
        assert (config.env, config.awr.batch_size) == ("hopper", 32)


def test_a_batch_size_that_was_not_asked_for_fits_the_ring(capsys: pytest.CaptureFixture[str]) -> None:
    rows = parse(["--env", "mine"]).config.awr.capacity
    assert capsys.readouterr().err == ""
    config = parse(["--env", "mine", "--num_envs", "64"]).config
    assert config.awr.batch_size == 64 * rows
    said = capsys.readouterr().err
    assert said.startswith(f"warning: batch_size is {64 * rows}, not 4096: ") and said.count("\n") == 1
    for asked in (["--batch_size", "4096"], ["--batch-size=4096"]):
        with pytest.raises(UserError, match="batch_size 4096 is larger than the replay ring"):
            parse(["--env", "mine", "--num_envs", "64", *asked])
