"""AWR's relatives, each a change of settings and never a fork of the code (paper, sections 4 and 5.2)."""

import dataclasses
from collections.abc import Callable

from awr_mjx.config import AwrConfig


def _with(**changes: object) -> Callable[[AwrConfig], AwrConfig]:
    return lambda config: dataclasses.replace(config, **changes)  # type: ignore[arg-type]


VARIANTS: dict[str, Callable[[AwrConfig], AwrConfig]] = {
    "awr": _with(),
    # Reward-weighted regression: on-policy, Monte Carlo returns, no value function in the weights.
    "rwr": _with(baseline=False, lam=1.0, buffer_blocks=1),
    "on_policy": _with(buffer_blocks=1),
    "no_baseline": _with(baseline=False),
    "monte_carlo": _with(lam=1.0),
    # The paper's text: raw advantages, beta 0.05. (The authors' code standardises them, with beta 1.)
    "raw_advantage": _with(advantage="raw", beta=0.05),
    "bc": _with(weighting="uniform"),
}
