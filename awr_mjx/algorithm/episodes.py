"""What of the ring Monte Carlo returns can be had for: rows of episodes whose end is in it.

The end of an episode is the row in which it fails or, at a time limit, the row before the one in which it is reset.
(An episode that is given up because its environment broke looks like the latter.)
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool

from awr_mjx.algorithm.replay import Ring


def ended(ring: Ring, newest: int = 0) -> Ring:
    """The ring without unfinished episodes, and with nothing after a time limit.

    Its `valid` rows are those that count, and every episode's last row is `terminated`, so that TD(1) returns there are
    the plain discounted sums of the rewards from a row to the end of its episode.

    Args:
      ring: the ring of C rows; it may have wrapped around.
      newest: if > 0, only episodes count whose end became known in this many newest rows: where these are what an
        iteration has added, each row counts in one iteration, the first that could use it. For that the ring must
        hold the longest episode beside them: C >= episode_length + newest.
    """
    rows, capacity = ring.rows, ring.rows.valid.shape[0]
    newest_first = (ring.head - 1 - jnp.arange(capacity)) % capacity  # this order is its own inverse
    terminated, valid = rows.terminated[newest_first], rows.valid[newest_first]
    recent = jnp.arange(capacity) < (newest or capacity)

    def step(counts_tp1: Array, row: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        terminated_t, valid_t, recent_t = row
        # A failure, or a reset row, tells that the episode is over; in all other rows it goes on.
        counts_t = jnp.where(terminated_t | ~valid_t, recent_t, counts_tp1)
        return counts_t, counts_t

    unfinished: Bool[Array, " N"] = jnp.zeros_like(valid[0])
    _, counts = lax.scan(step, unfinished, (terminated, valid, recent))
    reset_tp1 = jnp.concatenate([jnp.zeros_like(valid[:1]), ~valid[:-1]])
    seen = rows.replace(  # type: ignore[attr-defined]
        valid=(valid & counts)[newest_first], terminated=(terminated | reset_tp1)[newest_first]
    )
    return ring.replace(rows=seen)  # type: ignore[attr-defined]
