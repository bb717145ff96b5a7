"""Settings that make no sense are named, and variants change what they say."""

import dataclasses
import math

import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.variants import VARIANTS

POSITIVE = "a positive number"
ZERO = "zero or a positive number"
WHOLE = {"returns": "monte_carlo", "rollout_steps": 256, "buffer_blocks": 5}  # episodes of 1,000 steps


def test_the_defaults_make_sense() -> None:
    assert AwrConfig().problems() == []
    assert AwrConfig(rollout_steps=5, buffer_blocks=4).capacity == 20


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("gamma", 1.0, "at least 0 and below 1"),
        ("gamma", math.nan, "at least 0 and below 1"),
        ("gamma", -0.1, "at least 0 and below 1"),
        ("gamma_end", 1.0, "at least 0 (off) and below 1"),
        ("gamma_steps", 0, "from 1 to 2^30"),
        ("gamma_steps", 2**31, "from 1 to 2^30"),
        ("std_end", -0.1, ZERO),
        ("std_steps", 0, "from 1 to 2^30"),
        ("lam", 1.1, "from 0 to 1"),
        ("lam", -0.1, "from 0 to 1"),
        ("target_ess", 1.0, "at least 0 (off) and below 1"),
        ("momentum", 1.0, "at least 0 and below 1"),
        ("beta", 0.0, POSITIVE),
        ("beta", math.inf, POSITIVE),
        ("weight_max", 0.0, POSITIVE),
        ("std", -0.4, POSITIVE),
        ("policy_lr", 0.0, POSITIVE),
        ("value_lr", math.nan, POSITIVE),
        ("obs_clip", 0.0, POSITIVE),
        ("bound_coef", -1.0, ZERO),
        ("logit_coef", -1.0, ZERO),
        ("std_min", -0.1, ZERO),
        ("rollout_steps", 0, POSITIVE),
        ("buffer_blocks", 0, POSITIVE),
        ("batch_size", 0, POSITIVE),
        ("policy_updates", -1, ZERO),
        ("value_updates", -1, ZERO),
        ("normalizer_steps", -1, ZERO),
        ("policy_hidden", (64, 0), "positive widths"),
        ("value_hidden", (-1,), "positive widths"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: object, rule: str) -> None:
    config = dataclasses.replace(AwrConfig(), **{name: value})  # type: ignore[arg-type]
    assert config.problems() == [f"{name} must be {rule}, not {value}"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("gamma", 0.0), ("lam", 0.0), ("lam", 1.0), ("momentum", 0.0), ("policy_updates", 0), ("policy_hidden", ())],
)
def test_the_edges_are_allowed(name: str, value: object) -> None:
    assert dataclasses.replace(AwrConfig(), **{name: value}).problems() == []  # type: ignore[arg-type]


def test_all_problems_are_found() -> None:
    assert len(AwrConfig(gamma=2.0, beta=-1.0, batch_size=0).problems()) == 3


def test_whole_episodes_ask_for_a_ring_that_holds_them() -> None:
    whole = AwrConfig(returns="monte_carlo", rollout_steps=32, buffer_blocks=16)
    assert whole.problems(480) == []  # 512 rows: the episode, and the 32 that an iteration adds
    rule = "buffer_blocks must be 17 or more, to hold an episode of 481 steps and 32 new rows, not 16"
    assert whole.problems(481) == [rule]
    assert AwrConfig(buffer_blocks=1).problems(481) == []
    assert VARIANTS["rwr"](AwrConfig()).problems(1000) == VARIANTS["monte_carlo"](AwrConfig()).problems(1000) == []
    assert VARIANTS["monte_carlo"](AwrConfig(buffer_blocks=24)).buffer_blocks == 24  # as much replay as before
    rule = "value_updates must be 0 with returns monte_carlo and without baseline, where no weight depends on a value"
    assert AwrConfig(returns="monte_carlo", baseline=False).problems() == [f"{rule}, not 20"]
    rule = "episodes must be all with TD(lambda) returns, where buffer_blocks 1 is on-policy, not newest"
    assert AwrConfig(episodes="newest").problems() == [rule]


def test_a_learned_std_starts_above_its_floor() -> None:
    found = AwrConfig(learn_std=True, std=0.1, std_min=0.1).problems()
    assert found == ["std must be above std_min (0.1) to be learned, not 0.1"]
    assert AwrConfig(learn_std=False, std=0.05, std_min=0.1).problems() == []
    found = AwrConfig(learn_std=True, std_end=0.1).problems()
    assert found == ["std_end must be 0 (off) where learn_std is on, not 0.1"]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("awr", {}),
        ("rwr", WHOLE | {"episodes": "newest", "baseline": False, "value_updates": 0}),
        ("on_policy", {"buffer_blocks": 1}),
        ("no_baseline", {"baseline": False}),
        ("monte_carlo", WHOLE),
        ("raw_advantage", {"advantage": "raw", "beta": 0.05}),
        ("bc", {"weighting": "uniform", "value_updates": 0}),
    ],
)
def test_a_variant_changes_only_what_it_says(name: str, changes: dict[str, object]) -> None:
    base = AwrConfig(rollout_steps=7, gamma=0.9)
    varied = VARIANTS[name](base)
    before, after = dataclasses.asdict(base), dataclasses.asdict(varied)
    assert {k: v for k, v in after.items() if v != before[k]} == changes
    assert varied.problems() == []


def test_every_variant_is_tested() -> None:
    assert set(VARIANTS) == {"awr", "rwr", "on_policy", "no_baseline", "monte_carlo", "raw_advantage", "bc"}
