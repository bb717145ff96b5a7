"""The weights that a run's learner gives to logged steps, for cloning them with a model of one's own."""

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm import episodes
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.train.console.errors import Failed, UserError
from awr_mjx.train.datasets import packing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine.player import Player


def refuse_without_values(config: AwrConfig, source: object) -> None:
    """Raises UserError if the run `source` has learned no value function, without which there are no advantages."""
    if not config.value_updates:
        raise UserError(
            f"{source} has learned no value function (as --variant bc and rwr do not): name a run that has, such as "
            "one of --variant awr"
        )


def weigh(player: Player, found: DataSet) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """What the run's own learner would make of the set: columns of R rows, in the set's order, and the diagnostics.

    The columns are `episode` and `step` in it, int64; `value` V(s), `return` (TD(lambda), or plain sums to the end of
    the episode for `--variant monte_carlo`) and `advantage` (raw), in units of reward; and `weight` (clipped), float32.

    Raises:
      Failed: if they are not finite.
    """
    learner, learned = player.learner, player.learned
    ring = packing.packed([found])

    @jax.jit
    def program(ring):  # type: ignore[no-untyped-def]
        ring = ring if learner.config.returns == "td_lambda" else episodes.ended(ring)
        g, v = learner.relabel(learned, ring, jnp.zeros_like(ring.rows.obs[0]))
        advantages, weights, diagnostics = learner.weigh(learned, g, v, ring.rows.valid)
        return {"value": v, "return": g, "advantage": advantages, "weight": weights}, diagnostics

    arrays, diagnostics = program(ring)
    by_row = {name: np.asarray(array).reshape(-1)[ring.places] for name, array in arrays.items()}
    broken = {name: int((~np.isfinite(by_row[name])).sum()) for name in ("value", "return", "advantage", "weight")}
    if any(broken.values()):
        name = next(name for name in broken if broken[name])
        raise Failed(
            f"{broken[name]:,} of the {name}s are not finite: nothing was written; what the run learned is of no use"
        )
    columns = {
        "episode": found.episode_of(),
        "step": np.arange(len(found.rewards)) - np.repeat(found.starts, found.steps),
        **by_row,
    }
    return columns, {name: float(np.asarray(value)) for name, value in diagnostics.items()}
