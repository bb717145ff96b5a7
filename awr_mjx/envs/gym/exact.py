"""Gymnasium's MuJoCo tasks as Gymnasium has them, in C MuJoCo: for tasks that train on an approximation of it."""

from typing import Any

import jax
import mujoco
import numpy as np

from awr_mjx.envs.base import State
from awr_mjx.envs.physics import models
from awr_mjx.envs.physics.copies import Copies
from awr_mjx.envs.physics.integrators import Physics


class Exact:
    """E = `count` robots of a task on Gymnasium's own model, integrator, contacts and solver, in float64.

    Observations, rewards and ends of episodes are the task's own of what C MuJoCo gives.
    """

    def __init__(self, task: Any, count: int, threads: int) -> None:
        """Takes a `GymTask`; up to `threads` of the host's cores step its robots."""
        model = models.exact(task.asset)
        if task.gymnasium_solver:
            model.opt.solver, model.opt.iterations = task.gymnasium_solver
        self._robots = Copies(model, task.exact_frame_skip, count, threads)
        self._control, self._arrived = jax.jit(jax.vmap(task.control)), jax.jit(jax.vmap(task.arrived))
        self._observe = task.observe_in_c

    def begin(self, state: State) -> None:
        """Puts the robots where `state`, leaves [E, ...], has them."""
        self._robots.begin(np.asarray(state.data.qpos), np.asarray(state.data.qvel))

    def step(self, state: State, action: jax.Array, which: np.ndarray) -> State:
        """Returns the states after a control step with `action` [E, A] of those `which` bool [E] from `state`.

        The others stay where they are; what is told of them means nothing.
        """
        ctrl = self._control(action)
        self._robots.step(np.asarray(ctrl), which)
        physics: Any = self._robots.stack(_physics)
        return self._arrived(state.info, ctrl, Physics(**physics), self._robots.stack(self._observe))


def _physics(model: mujoco.MjModel, data: mujoco.MjData) -> dict[str, Any]:
    return {name: getattr(data, name) for name in ("qpos", "qvel", "qacc_warmstart")}
