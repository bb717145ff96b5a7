"""What an epoch's metrics say on the host: numbers for the log, and whether there is any use in going on."""

import numpy as np

from awr_mjx.train.console.commands import command
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.loop import PARTS

Metrics = dict[str, np.ndarray]  # by name, [I] for the I iterations of an epoch; `sound` [I, 3]

WHOLE = ("quarantined", "episodes_finished")  # counts of an epoch
PER_EPISODE = ("episode_return", "episode_steps")  # means over the episodes that ended in an iteration
IF_UPDATED = {
    "value_loss": "value_updates",
    "explained_variance": "value_updates",
    "value_mean": "value_updates",
    "policy_loss": "policy_updates",
}
WEIGHTS = ("advantage_std", "effective_sample_share", "weight_clipped", "weight_max", "weight_mean")
OF_ROWS = (*IF_UPDATED, *WEIGHTS, "entropy", "kl")  # of the rows that count


def summarise(metrics: Metrics, config: TrainConfig) -> dict[str, float]:
    """An epoch in numbers: its newest iteration's, but counts are sums, and what episodes were like is over all.

    What there was none of, such as an episode that ended, is left out: a 0 would look like a return.
    """
    values = {name: float(value[-1]) for name, value in metrics.items() if name != "sound"}
    absent = set()
    if not config.logged:  # else nobody plays
        values |= {name: float(metrics[name].sum()) for name in WHOLE}
        ended = metrics["episodes_finished"]
        for name in PER_EPISODE:
            values[name] = float((metrics[name].astype(float) * ended).sum() / max(ended.sum(), 1))
        absent = set(PER_EPISODE) if not ended.any() else set()
    absent |= {name for name, updates in IF_UPDATED.items() if not getattr(config.awr, updates)}
    if values.get("counted_share") == 0:  # Monte Carlo returns, and no episode has ended
        absent |= set(OF_ROWS)
    return {name: value for name, value in values.items() if name not in absent}


def trouble(metrics: Metrics, config: TrainConfig) -> str | None:
    """Why the state after this epoch is of no use to anybody, and what to do about it; None if it is sound."""
    broken = metrics["sound"][(~metrics["sound"]).any(axis=1)]
    if len(broken):
        # The parts that broke first; the critic's numbers get into the policy's weights, so it is the likelier cause.
        policy, value, _ = broken[0]
        lr = f"--policy_lr (it was {config.awr.policy_lr:g})"
        if not value:
            lr = f"--value_lr (it was {config.awr.value_lr:g}){'' if policy else ' or ' + lr}"
        names = " and ".join(name for name, good in zip(PARTS, broken[0], strict=True) if not good)
        advice = f"lower {lr}" if not (policy and value) else "look at the task's observations"
        return f"training has diverged: {names} not finite or far too large; {advice} and train anew"
    if not config.logged and metrics["ring_valid"][-1] == 0 and metrics["quarantined"].sum() > 0:
        return (
            "the task breaks in every step (numbers that are not finite or far too large), so there is nothing to "
            f"learn from; see {command('check', '--env', config.env)}"
        )
    return None
