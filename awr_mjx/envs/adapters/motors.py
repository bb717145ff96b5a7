"""Does an environment scale the actions that it gets to what its motors take?"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.physics import names


def unscaled_motor(model: mujoco.MjModel, step: Callable[[Any, jax.Array], Any], start: Any) -> str | None:
    """Returns the first motor that gets actions [A] as they are though its range is not -1 to 1, and that range.

    `start` has the shapes of the environment's state. Only its `ctrl` is worked out: the compiler leaves out the
    physics. None is returned too where there is no `ctrl`, as in Brax's own physics.
    """
    low, high = np.asarray(model.actuator_ctrlrange, float).T
    other = np.asarray(model.actuator_ctrllimited, bool) & ~(np.isclose(low, -1.0) & np.isclose(high, 1.0))
    if not other.any():
        return None

    def ctrl(state: Any, action: jax.Array) -> Any:
        after = step(state, action)
        return getattr(getattr(after, "pipeline_state", None) or getattr(after, "data", None), "ctrl", None)

    state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), start)
    # Not at the ends, where a clip would give the same.
    tried = [np.full(model.nu, x, np.float32) for x in (-0.25, 0.75)]
    program = jax.jit(ctrl)
    found = [program(state, action) for action in tried]
    if any(x is None or x.shape != action.shape for x, action in zip(found, tried, strict=True)):
        return None
    same = np.logical_and(*(np.isclose(x, action) for x, action in zip(found, tried, strict=True)))
    places = np.flatnonzero(same & other)
    if not len(places):
        return None
    i = int(places[0])
    return f"{names.actuators(model)[i]} takes {low[i]:g} to {high[i]:g}"
