"""What the MuJoCo tasks share: a model, a small physics state, and a control step of n substeps."""

import contextlib
import dataclasses
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.base import State, UnknownTask
from awr_mjx.envs.packages import install
from awr_mjx.envs.physics import integrators, names
from awr_mjx.envs.physics.integrators import Physics

with contextlib.redirect_stdout(io.StringIO()):  # MJX prints there that warp, which is optional, is not installed
    from mujoco import mjx

    from awr_mjx.envs.physics.floor import FloorDynamics


WARP_ENVS = 8192  # environments that warp's contact array has room for


class MjxTask:
    """A MuJoCo model that steps on the accelerator, for one environment; batch it with `jax.vmap`.

    An instance holds constants only. Its state is a `Physics`: a few dozen numbers instead of the thousands of a
    whole `mjx.Data`, which is rebuilt in every control step from a template and never leaves it.

    Attributes:
      mj_model: the compiled model, for rendering and checks.
      dt: seconds of simulated time per control step.
      action_names: the actuators'.
      max_envs: the most environments that may step in one batch, or None.
    """

    discrete = False
    max_envs: int | None = None

    def __init__(
        self,
        mj_model: mujoco.MjModel,
        frame_skip: int,
        impl: str = "jax",
        integrator: integrators.Integrator | None = None,
        on_floor: bool = False,
    ) -> None:
        """A control step is `frame_skip` physics steps of `mj_model`; `impl` is MJX's backend, jax or warp.

        They are taken by `integrator`, by default the model's own. With `on_floor` and jax, our own dynamics of robots
        that touch only the floor replace MJX's, and `integrator` is Euler's method by default.

        Raises:
          UnknownTask: if warp is wanted but not installed.
        """
        if impl == "warp" and importlib.util.find_spec("warp") is None:
            raise UnknownTask(f"--env.impl warp needs the package warp-lang: {install('warp')}")
        self.mj_model = mj_model
        self.frame_skip = frame_skip
        self.dt = float(mj_model.opt.timestep) * frame_skip
        self.action_size = int(mj_model.nu)
        self.action_names = names.actuators(mj_model)
        self._model = mjx.put_model(mj_model, impl=impl)
        if impl == "warp":
            # Warp's contacts are one array for all environments, whose number it cannot know; where that is too small,
            # contacts are lost. The solver's few iterations are meant, and not worth a line of output per step.
            contacts = mjx.make_data(mj_model, impl="jax")._impl.ncon
            self.max_envs = WARP_ENVS
            self._template = mjx.make_data(mj_model, impl=impl, naconmax=WARP_ENVS * max(contacts, 1))
            self._model = self._model.tree_replace({"opt._impl.warn_overflow": 0})
        else:
            self._template = mjx.make_data(mj_model, impl=impl)
        self._forward: Callable[[mjx.Model, mjx.Data], mjx.Data] = mjx.forward
        if on_floor and impl == "jax":
            self._forward = FloorDynamics(mj_model)
            integrator = integrator or integrators.euler
        elif impl == "jax" and mj_model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4:
            integrator = integrators.runge_kutta
        self._integrator = integrator  # None: MJX's own

    def init_physics(self, qpos: jax.Array, qvel: jax.Array) -> Physics:
        """Returns the state at rest of the solver with positions `qpos` [nq] and velocities `qvel` [nv]."""
        return Physics(
            qpos=jnp.asarray(qpos, jnp.float32),
            qvel=jnp.asarray(qvel, jnp.float32),
            qacc_warmstart=jnp.zeros(self.mj_model.nv, jnp.float32),
        )

    def positions(self, state: State) -> jax.Array:
        """Returns the model's positions [nq], for pictures."""
        return state.data.qpos

    def pushed(self, state: State, velocity: jax.Array) -> State:
        """Returns `state` with the velocity of the first body changed by `velocity` float32 [3] (m/s, world axes).

        Where the body cannot move along an axis, that part of the push is lost.
        """
        model, change = self.mj_model, np.zeros((self.mj_model.nv, 3), np.float32)
        for i in range(model.njnt):
            dof = model.jnt_dofadr[i]
            if model.jnt_bodyid[i] != 1:
                continue
            if model.jnt_type[i] == mujoco.mjtJoint.mjJNT_FREE:
                change[dof : dof + 3] = np.eye(3)
            elif model.jnt_type[i] == mujoco.mjtJoint.mjJNT_SLIDE:
                change[dof] = model.jnt_axis[i]
        physics = state.data
        return dataclasses.replace(state, data=physics.replace(qvel=physics.qvel + change @ velocity))

    def step_physics(self, physics: Physics, ctrl: jax.Array, fields: dict[str, jax.Array] | None = None) -> Any:
        """Advances the simulation by `dt` seconds with `ctrl` float32 [nu] held constant, in the model's own units.

        `fields` replaces arrays of the model, such as `body_mass` [nbody], for this environment.

        Returns (physics, seen): the new state, and what `observe_data` made of the last substep's data [...].
        """
        model = self._model.replace(**fields) if fields else self._model
        start = self._template.replace(ctrl=ctrl)

        def load(physics: Physics) -> mjx.Data:
            return start.replace(qpos=physics.qpos, qvel=physics.qvel, qacc_warmstart=physics.qacc_warmstart)

        def forward(physics: Physics) -> tuple[jax.Array, Any]:
            data = self._forward(model, load(physics))
            return data.qacc, self.observe_data(model, data)

        def substep(physics: Physics, _: None) -> tuple[Physics, Any]:
            if self._integrator:
                return self._integrator(self.mj_model, forward, physics)
            data = mjx.step(model, load(physics))
            return Physics(data.qpos, data.qvel, data.qacc_warmstart), self.observe_data(model, data)

        physics, seen = jax.lax.scan(substep, physics, None, length=self.frame_skip)
        return physics, jax.tree.map(lambda x: x[-1], seen)

    def observe_data(self, model: mjx.Model, data: mjx.Data) -> Any:
        """Returns whatever the task needs of `data` besides positions and velocities, a pytree of arrays [...].

        After a step, derived quantities belong to its last evaluation of the dynamics, as in Gymnasium.
        """
        return ()
