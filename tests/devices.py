"""Several devices: as an axis of `jax.vmap`, over which collectives go as over a mesh's, or as a CPU that is split."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from awr_mjx.algorithm import reduce

AXIS = "env"

PROGRAM = """
import json, sys
from awr_mjx.train.engine.jax_setup import start_jax
start_jax(False, {devices})
import jax, jax.numpy as jnp, numpy as np
from awr_mjx.algorithm import losses, normalizer, reduce, replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, regress
from awr_mjx.train.engine import memory
from awr_mjx.train.engine.loop import FIRST, LAYOUT, SAME, SECOND, Loop, share_out
from tests.tasks import Chain
"""


def two_devices(code: str) -> dict[str, Any]:
    """What `code` prints as JSON in a process whose CPU is two devices."""
    return several_devices(2, code)


def several_devices(devices: int, code: str) -> dict[str, Any]:
    """The same with that many devices."""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    program = PROGRAM.format(devices=devices) + code
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


def on_devices(function: Callable[..., Any], in_axes: Any = 0) -> Callable[..., Any]:
    """`function` as D devices run it: arguments and results have a leading axis [D], save where `in_axes` is None."""

    def one_device(*args: Any) -> Any:
        with reduce.over(AXIS):
            return function(*args)

    return jax.jit(jax.vmap(one_device, in_axes, axis_name=AXIS))


def shares(tree: Any, devices: int, axis: int) -> Any:
    """Leaves [D, ...] from leaves whose `axis` is shared out over D devices."""
    return jax.tree.map(lambda x: np.stack(np.split(np.asarray(x), devices, axis)), tree)
