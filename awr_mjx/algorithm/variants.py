"""AWR's relatives, each a change of settings and never a fork of the code (paper, sections 4 and 5.2)."""

import dataclasses
from collections.abc import Callable
from typing import Any

from awr_mjx.algorithm.config import AwrConfig

# Whole episodes need long rollouts, or their rows come from many policies, and a ring that holds the longest, 1,000
# control steps in all of our tasks, beside a rollout: 4 blocks and 1. (`train.main` takes fewer environments instead,
# so that an iteration has as many samples as before.)
ROLLOUT_STEPS, BLOCKS = 256, 5


def _with(**changes: Any) -> Callable[[AwrConfig], AwrConfig]:
    return lambda config: dataclasses.replace(config, **changes)


def _monte_carlo(config: AwrConfig) -> AwrConfig:
    blocks = max(config.buffer_blocks, BLOCKS)
    return dataclasses.replace(config, returns="monte_carlo", rollout_steps=ROLLOUT_STEPS, buffer_blocks=blocks)


def _rwr(config: AwrConfig) -> AwrConfig:
    changes: dict[str, Any] = {"episodes": "newest", "buffer_blocks": BLOCKS, "baseline": False, "value_updates": 0}
    return dataclasses.replace(_monte_carlo(config), **changes)


VARIANTS: dict[str, Callable[[AwrConfig], AwrConfig]] = {
    "awr": _with(),
    # Reward-weighted regression: exp(return / beta) of the episodes that have just ended, and no value network at all.
    "rwr": _rwr,
    # Without replay. Returns are TD(lambda), which bootstrap with V where the one block ends.
    "on_policy": _with(buffer_blocks=1),
    # TD(lambda) returns as they are, V not subtracted; they still bootstrap with it.
    "no_baseline": _with(baseline=False),
    # Plain sums of rewards to the end of the episode in place of TD(lambda), less V(s).
    "monte_carlo": _monte_carlo,
    # The paper's text: raw advantages, beta 0.05. (The authors' code standardises them, with beta 1.)
    "raw_advantage": _with(advantage="raw", beta=0.05),
    # Behaviour cloning: every action counts the same, so that nothing needs a value.
    "bc": _with(weighting="uniform", value_updates=0),
}
