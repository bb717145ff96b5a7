"""Several devices in one process: `jax.vmap` has a named axis, over which collectives go as over a mesh's."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from awr_mjx.algorithm import reduce

AXIS = "env"


def on_devices(function: Callable[..., Any], in_axes: Any = 0) -> Callable[..., Any]:
    """`function` as D devices run it: arguments and results have a leading axis [D], save where `in_axes` is None."""

    def one_device(*args: Any) -> Any:
        with reduce.over(AXIS):
            return function(*args)

    return jax.jit(jax.vmap(one_device, in_axes, axis_name=AXIS))


def shares(tree: Any, devices: int, axis: int) -> Any:
    """Leaves [D, ...] from leaves whose `axis` is shared out over D devices."""
    return jax.tree.map(lambda x: np.stack(np.split(np.asarray(x), devices, axis)), tree)
