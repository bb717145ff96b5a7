"""What a checkpoint holds, and how its arrays are described.

A checkpoint `RUN/checkpoints/<env steps>/` has four items: `learner` (all that playing the policy needs), `ring`,
`rest` (environments, random key, counters) and `meta` (JSON: shapes and checksums of every array). No item is a pickle,
so a file from elsewhere cannot run code.
"""

import logging
import pathlib
import sys
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.train.engine.loop import TrainState

FORMAT = 4


def quiet() -> None:
    """Orbax logs its progress, and every task of a failed save; a user wants one line, which we print ourselves."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _hook


def _hook(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python's own report of errors in callbacks, but not of writes that end after their save has failed."""
    error = unraisable.exc_value
    if sys and not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):  # sys: None at exit
        sys.__unraisablehook__(unraisable)


def folder(run: pathlib.Path) -> pathlib.Path:
    """Where the checkpoints of a run lie."""
    return run.resolve() / "checkpoints"


def items_of(state: TrainState) -> dict[str, Any]:
    """The items of arrays of a checkpoint of `state`."""
    rest = {"env": state.env, "key": state.key, "counts": state.counts}
    items = {"learner": state.learner, "ring": state.ring, "rest": {k: v for k, v in rest.items() if v is not None}}
    return {name: item for name, item in items.items() if item is not None}


def state_of(items: dict[str, Any]) -> TrainState:
    """The state that `items_of` took apart."""
    rest = {"env": None, **items["rest"]}  # learning from static data there is neither an environment nor a ring
    return TrainState(learner=items["learner"], ring=items.get("ring"), **rest)  # type: ignore[arg-type]


def described(items: dict[str, Any]) -> dict[str, tuple[list[Any], Any]]:
    """'learner.policy...' -> ([dtype, shape], leaf) for every leaf of some items."""
    leaves = jax.tree_util.tree_flatten_with_path(items)[0]
    return {jax.tree_util.keystr(path): ([str(x.dtype), list(x.shape)], x) for path, x in leaves}


def storable(tree: Any) -> Any:
    """`tree` with a stand-in for every array without elements, such as Brax's states have: Orbax refuses those.

    Stand-ins have shape (1,) and lie on one device, because one element cannot be shared out as the array was.
    """
    return jax.tree.map(lambda x: _stand_in(x) if x.size == 0 else x, tree)


def _stand_in(leaf: Any) -> Any:
    """A zero, or the description of one if `leaf` is a description."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct((1,), leaf.dtype, sharding=jax.sharding.SingleDeviceSharding(jax.devices()[0]))
    return jnp.zeros(1, leaf.dtype)


def checksum(leaf: jax.Array) -> int:
    """CRC-32 of an array's bytes [...]; Orbax and its storage do not notice a flipped one."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return zlib.crc32(np.ascontiguousarray(np.asarray(leaf)).data)


def reason(error: BaseException) -> str:
    """One line on why a save failed; the operating system's own words where there are any."""
    text = " ".join(str(error).split())
    for words in ("No space left on device", "File too large", "Permission denied", "Read-only file system"):
        if words in text:
            return words
    return f"{type(error).__name__}: {text[:200]}"
