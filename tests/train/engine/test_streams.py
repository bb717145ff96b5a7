"""Keys of one stream are no other's, and none of training's."""

import pathlib
import re

import jax
import numpy as np

from awr_mjx.train.engine.streams import stream

ROOT = pathlib.Path(__file__).parents[3] / "awr_mjx" / "train"


def bits(keys: list[jax.Array]) -> list[tuple[int, ...]]:
    return [tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys]


def test_streams_share_no_key() -> None:
    """Of all names in use and two seeds, four further keys each; and of what training splits a seed into."""
    sources = [path.read_text() for path in ROOT.rglob("*.py")]
    names = sorted({name for text in sources for name in re.findall(r'stream\([^()]+, "(\w+)"\)', text)})
    assert {"check", "evaluate", "evaluation", "live"} <= set(names)
    keys = []
    for seed in (0, 1):
        keys.append(jax.random.key(seed))
        keys += list(jax.random.split(keys[-1], 64))  # which are `fold_in(key, i)` too
        for name in names:
            own = stream(seed, name)
            keys += [own, *jax.random.split(own, 4)]
    found = bits(keys)
    assert len(set(found)) == len(found)


def test_a_stream_is_always_the_same() -> None:
    assert bits([stream(3, "live")]) == bits([stream(3, "live")])
    key = jax.random.fold_in(jax.random.key(0), 1)
    assert bits([key]) == bits([jax.random.split(jax.random.key(0), 3)[1]])  # why streams are needed
    assert bits([stream(0, "evaluation")]) != bits([key])
