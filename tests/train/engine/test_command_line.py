"""What training is told, and what it makes of what it is not told."""

import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.command_line import parse
from awr_mjx.train.engine.presets import preset


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
    few = ["--env", "mine", "--num_envs", "64", "--rollout_steps", "4"]
    config = parse(few).config
    assert config.awr.batch_size == 64 * rows
    said = capsys.readouterr().err
    assert said.startswith(f"warning: batch_size is {64 * rows}, not 4096: ") and said.count("\n") == 1
    for asked in (["--batch_size", "4096"], ["--batch-size=4096"]):
        with pytest.raises(UserError, match="batch_size 4096 is larger than the replay ring"):
            parse([*few, *asked])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            "--data X --env cartpole --num_envs 4 --data_share 0.3",
            "--num_envs and --data_share mean nothing with --data",
        ),
        ("--data X --env cartpole --normalizer-steps=7", "--normalizer_steps means nothing with --data"),
        ("--env cartpole --data_share 0.3", "--data_share means nothing without --from"),
        ("--env cartpole --beta 1 --target_ess 0.3", "--beta means nothing beside --target_ess"),
        (
            "--env cartpole --variant rwr --expectile 0.9 --beta 1",
            "--expectile means nothing where no values are learned",
        ),
        (
            "--data X --env cartpole --variant bc --target_ess 0.3 --value_layer_norm true",
            "--target_ess means nothing where every step weighs the same\n"
            "warning: --value_layer_norm means nothing where no values are learned",
        ),
        (
            "--data X --env cartpole --num_steps 1600",
            "it trains for 3,000 steps, not 1,600: iterations of 1,500 gradient",
        ),
        ("--env cartpole --variant bc", "nothing is learned by cloning the policy's own actions"),
    ],
)
def test_what_has_no_effect_is_told(args: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    parse(args.split())
    assert capsys.readouterr().err.startswith(f"warning: {words}")


@pytest.mark.parametrize(
    "args",
    [
        "--env cartpole --num_envs 4 --beta 1 --expectile 0.7 --batch_size 8",
        "--data X --env cartpole --beta 1 --expectile 0.7 --value_layer_norm true --num_steps 3000",
        "--data X --env cartpole --variant bc --policy_lr 1e-3",
        "--from X --env cartpole --data_share 0.3 --data_share_steps 100",
    ],
)
def test_what_has_an_effect_is_not(args: str, capsys: pytest.CaptureFixture[str]) -> None:
    parse(args.split())
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "steps"),
    [
        ("--env hopper --minutes 3", settings.UNLIMITED),
        ("--env hopper --minutes 3 --num_steps 2_000_000", 2_000_000),
        ("--env hopper --minutes 0", preset("hopper").num_steps),
        ("--env hopper", preset("hopper").num_steps),
    ],
)
def test_where_minutes_are_named_alone_nothing_else_ends_a_run(args: str, steps: int) -> None:
    assert parse(args.split()).config.num_steps == steps


@pytest.mark.parametrize(
    ("args", "steps", "rows"),
    [
        ("--env ant", 4, 24),
        ("--env ant --num_envs 512", 16, 96),
        ("--env ant --num-envs=4_096", 2, 24),
        ("--env ant --num_envs 4096 --rollout_steps 4", 4, 24),  # who says how many steps, says what an iteration is
        ("--env ant --num_envs 512 --buffer_blocks 2", 16, 32),
    ],
)
def test_settings_follow_the_environments_that_are_asked_for(args: str, steps: int, rows: int) -> None:
    awr = parse(args.split()).config.awr
    assert (awr.rollout_steps, awr.capacity) == (steps, rows)


@pytest.mark.parametrize("given", ["4__096", "-5", "many", "_"])
def test_a_number_of_environments_that_is_none_is_one_line(given: str) -> None:
    with pytest.raises(UserError, match="num_envs"):
        parse(["--env", "ant", f"--num_envs={given}"])
