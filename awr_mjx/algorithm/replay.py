"""The replay ring: the newest C rows of N environments each, on the device, time-major.

A row is what all environments did in one control step. An observation is stored once, because the successor of a row
is the next row (`awr_mjx.envs.vector` sees to that): there is no `next_obs`. Inserting overwrites the oldest block of
rows in place; nothing is ever rolled or copied.
"""

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from awr_mjx.algorithm import reduce


@struct.dataclass
class Rows:
    """What N environments did in T (or C) successive control steps; a single row has no time axis.

    Attributes:
      obs: float32 [T, N, O], raw, *before* the action.
      action: float32 [T, N, A] or int32 [T, N], as the policy drew it.
      reward: float32 [T, N]; 0 where not valid.
      terminated: bool [T, N], the task ended the episode here. A time limit is "valid, not terminated, and the
        successor row is not valid".
      valid: bool [T, N]; False where the action was ignored because the environment was being reset.
    """

    obs: Float[Array, "*T N O"]
    action: Shaped[Array, "..."]
    reward: Float[Array, "*T N"]
    terminated: Bool[Array, "*T N"]
    valid: Bool[Array, "*T N"]


@struct.dataclass
class Ring:
    """Attributes: `rows` with leading axes [C, N]; `head` int32 [], where the next row goes; `filled` int32 [], how
    many rows hold data (rows 0..filled-1 do).

    The first `kept` rows are whole episodes that it began with (`awr_mjx.algorithm.static`) and are never overwritten;
    C, `head` and `filled` are of the rows after these."""

    rows: Rows
    head: Int[Array, ""]
    filled: Int[Array, ""]
    kept: int = struct.field(pytree_node=False, default=0)


@struct.dataclass
class Places:
    """Attributes: `time` int32 [..., B] and `env` int32 [..., B], the row and the environment of minibatches of B."""

    time: Int[Array, "... B"]
    env: Int[Array, "... B"]


@struct.dataclass
class Batch:
    """A minibatch of B rows of single environments.

    Attributes: `obs` [B, O], `action` [B, A] or [B], `extra` named [B] numbers that lie beside the ring, `valid` [B].
    """

    obs: Float[Array, "B O"]
    action: Shaped[Array, "B ..."]
    extra: dict[str, Float[Array, " B"]]
    valid: Bool[Array, " B"]


def init(capacity: int, num_envs: int, observation_size: int, action_size: int, discrete: bool, kept: int = 0) -> Ring:
    """An empty ring of C = `capacity` rows of N = `num_envs` environments, after `kept` rows; no row is valid."""
    shape = (kept + capacity, num_envs)
    action = jnp.zeros(shape, jnp.int32) if discrete else jnp.zeros((*shape, action_size))
    rows = Rows(
        obs=jnp.zeros((*shape, observation_size)),
        action=action,
        reward=jnp.zeros(shape),
        terminated=jnp.zeros(shape, bool),
        valid=jnp.zeros(shape, bool),
    )
    return Ring(rows, head=jnp.zeros((), jnp.int32), filled=jnp.zeros((), jnp.int32), kept=kept)


def insert(ring: Ring, rows: Rows) -> Ring:
    """Overwrites the oldest T rows of the ring with `rows` [T, N, ...]. Donate the ring.

    T must divide C and be the same at every insert, so that blocks never wrap around the end.

    Raises:
      ValueError: if T does not divide the ring's C rows (a block would wrap around its end).
    """
    capacity, added = ring.rows.reward.shape[0] - ring.kept, rows.reward.shape[0]
    if capacity % added:
        raise ValueError(f"a ring of {capacity} rows cannot take blocks of {added}: make it a multiple")

    def write(old: Array, new: Array) -> Array:
        return lax.dynamic_update_slice_in_dim(old, new, ring.kept + ring.head, axis=0)

    return ring.replace(  # type: ignore[attr-defined]
        rows=jax.tree.map(write, ring.rows, rows),
        head=(ring.head + added) % capacity,
        filled=jnp.minimum(ring.filled + added, capacity),
    )


def oldest_last(ring: Ring, age: Int[Array, ""]) -> Int[Array, ""]:
    """The row [] that is `age` [] rows older than the newest; those that are kept are the oldest."""
    capacity = ring.rows.reward.shape[0] - ring.kept
    newer = ring.kept + (ring.head - 1 - age) % capacity
    return jnp.where(age < capacity, newer, ring.kept - 1 - (age - capacity)) if ring.kept else newer


def draw_shared(ring: Ring, key: Key[Array, ""], share: Float[Array, ""] | float, *shape: int) -> Places:
    """Places [*shape] like those of `draw`, a `share` [] of them from the valid rows that the ring keeps.

    (Where episodes are long and environments many, most of what is kept may be empty.)
    """
    key_share, key_kept, key_new = jax.random.split(key, 3)
    kept = jax.random.uniform(key_share, shape) < share
    new = draw(ring, key_new, *shape)
    old = draw_valid(ring.replace(rows=jax.tree.map(lambda x: x[: ring.kept], ring.rows)), key_kept, *shape)  # type: ignore[attr-defined]
    return Places(jnp.where(kept, old.time, ring.kept + new.time), jnp.where(kept, old.env, new.env))


def draw(ring: Ring, key: Key[Array, ""], *shape: int) -> Places:
    """Places [*shape] of rows of single environments, uniformly and with replacement, from the filled part of `ring`.

    Draw those of all minibatches at once: a draw for each would cost a tenth of a small regression step.
    """
    key_time, key_env = jax.random.split(key)
    time = jax.random.randint(key_time, shape, 0, jnp.maximum(ring.filled, 1))
    return Places(time, jax.random.randint(key_env, shape, 0, ring.rows.reward.shape[1]))


def draw_valid(ring: Ring, key: Key[Array, ""], *shape: int) -> Places:
    """Places [*shape] like those of `draw`, from the valid rows alone, however few they are.

    Where several devices share the environments, each draws from its own rows. One with fewer valid rows than another
    draws invalid ones in the same proportion, so that every valid row of all devices is as likely as any other; so does
    every device where there is no valid row at all.
    """
    valid = ring.rows.valid.ravel()
    number = jnp.sum(valid)
    most = reduce.maximum(number.astype(jnp.float32), jnp.ones((), bool)).astype(jnp.int32)
    places = jnp.nonzero(valid, size=valid.size, fill_value=jnp.argmin(valid))[0]  # valid ones, then an invalid one
    place = places[jax.random.randint(key, shape, 0, jnp.maximum(most, 1))]
    envs = ring.rows.valid.shape[1]
    return Places(place // envs, place % envs)


def read(ring: Ring, places: Places, **beside: Float[Array, "C N"]) -> Batch:
    """The minibatch of B rows at `places` [B], with what lies there in `beside` (returns, weights).

    Invalid rows may be among them; they carry `valid` = False and must have weight 0 in every loss.
    """
    at = places.time, places.env
    extra = {name: array[at] for name, array in beside.items()}
    return Batch(ring.rows.obs[at], ring.rows.action[at], extra, ring.rows.valid[at])
