"""Named random streams: what is drawn under one name has no key in common with another name's, nor with training."""

import zlib

import jax

from awr_mjx.train.console.errors import UserError

# Far from 0, 1, 2: training splits a seed's key, and `fold_in(key, i)` is the i-th key of a split.
_STREAMS = 0xA3D5_19E7


def check_seed(seed: int) -> None:
    """Raises UserError unless `seed` is one that a key is made of; the keys of others are those of these again."""
    if not 0 <= seed < 2**32:
        raise UserError(f"seed must be from 0 to {2**32 - 1}, not {seed}")


def stream(seed: int, name: str) -> jax.Array:
    """Returns the typed key [] of the stream called `name`; training's own keys come from the bare `seed`."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), _STREAMS), zlib.crc32(name.encode()))
