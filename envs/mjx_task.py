"""What the MuJoCo tasks share: a model, a small physics state, and a control step of n substeps."""

import contextlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
from flax import struct

from envs.base import UnknownTask

with contextlib.redirect_stdout(io.StringIO()):  # MJX prints there that warp, which is optional, is not installed
    from mujoco import mjx


@struct.dataclass
class Physics:
    """All of the simulation that outlives a control step; the rest of `mjx.Data` follows from it.

    Attributes:
      qpos: float32 [nq], positions (m, rad, unit quaternions).
      qvel: float32 [nv], velocities (m/s, rad/s).
      qacc_warmstart: float32 [nv], the last accelerations, where the constraint solver starts (m/s^2, rad/s^2).
    """

    qpos: jax.Array
    qvel: jax.Array
    qacc_warmstart: jax.Array


class MjxTask:
    """A MuJoCo model that steps on the accelerator, for one environment; batch it with `jax.vmap`.

    An instance holds constants only. Its state is a `Physics`: a few dozen numbers instead of the thousands of a
    whole `mjx.Data`, which is rebuilt in every control step from a template and never leaves it.

    Attributes:
      mj_model: the compiled model, for rendering and checks.
      dt: seconds of simulated time per control step.
    """

    discrete = False

    def __init__(self, mj_model: mujoco.MjModel, frame_skip: int, impl: str = "jax") -> None:
        """A control step is `frame_skip` physics steps of `mj_model`; `impl` is MJX's backend, jax or warp.

        Raises:
          UnknownTask: if warp is wanted but not installed.
        """
        if impl == "warp" and importlib.util.find_spec("warp") is None:
            raise UnknownTask("--env.impl warp needs the package warp-lang: pip install 'awr_mjx[warp]'")
        self.mj_model = mj_model
        self.frame_skip = frame_skip
        self.dt = float(mj_model.opt.timestep) * frame_skip
        self.action_size = int(mj_model.nu)
        self._model = mjx.put_model(mj_model, impl=impl)
        self._template = mjx.make_data(mj_model, impl=impl)
        self._rk4 = impl == "jax" and mj_model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4

    def init_physics(self, qpos: jax.Array, qvel: jax.Array) -> Physics:
        """Returns the state at rest of the solver with positions `qpos` [nq] and velocities `qvel` [nv]."""
        return Physics(
            qpos=jnp.asarray(qpos, jnp.float32),
            qvel=jnp.asarray(qvel, jnp.float32),
            qacc_warmstart=jnp.zeros(self.mj_model.nv, jnp.float32),
        )

    def step_physics(self, physics: Physics, ctrl: jax.Array, fields: dict[str, jax.Array] | None = None) -> Any:
        """Advances the simulation by `dt` seconds with `ctrl` float32 [nu] held constant, in the model's own units.

        `fields` replaces arrays of the model, such as `body_mass` [nbody], for this environment.

        Returns (physics, seen): the new state, and what `observe_data` made of the last substep's data [...].
        """
        model = self._model.replace(**fields) if fields else self._model
        start = self._template.replace(ctrl=ctrl)

        def load(physics: Physics) -> mjx.Data:
            return start.replace(qpos=physics.qpos, qvel=physics.qvel, qacc_warmstart=physics.qacc_warmstart)

        def substep(carry: tuple[Physics, Any], _: None) -> tuple[tuple[Physics, Any], None]:
            data = mjx.step(model, load(carry[0]))
            return (Physics(data.qpos, data.qvel, data.qacc_warmstart), self.observe_data(model, data)), None

        def forward(physics: Physics) -> tuple[jax.Array, jax.Array, Any]:
            data = mjx.forward(model, load(physics))
            return data.qacc, data.qacc_warmstart, self.observe_data(model, data)

        def rk4_substep(carry: tuple[Physics, Any], _: None) -> tuple[tuple[Physics, Any], None]:
            return runge_kutta(self.mj_model, forward, *carry), None

        seen = jax.eval_shape(lambda: self.observe_data(model, start))
        first = (physics, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), seen))
        return jax.lax.scan(rk4_substep if self._rk4 else substep, first, None, length=self.frame_skip)[0]

    def observe_data(self, model: mjx.Model, data: mjx.Data) -> Any:
        """Returns whatever the task needs of `data` besides positions and velocities, a pytree of arrays [...].

        After a step, derived quantities belong to its last evaluation of the dynamics, as in Gymnasium.
        """
        return ()


def runge_kutta(
    mj_model: mujoco.MjModel,
    forward: Callable[[Physics], tuple[jax.Array, jax.Array, Any]],
    physics: Physics,
    seen: Any,
) -> tuple[Physics, Any]:
    """One step of the classic fourth-order Runge-Kutta method: what `mjx.step` does, in a quarter of the compile time.

    MJX writes the dynamics out once per stage; here they stand once, in a scan over the four stages.

    Args:
      mj_model: the model, for its joints and its timestep.
      forward: gives (accelerations [nv], warm start [nv], what is seen [...]) of a state.
      physics: the state before the step.
      seen: arrays [...] of the shapes that `forward` gives; the last stage's replace them.

    Returns:
      The state after the step, and what the last stage showed.
    """
    h = float(mj_model.opt.timestep)
    still = jnp.zeros_like(physics.qvel)

    def stage(carry: tuple[Any, ...], numbers: tuple[jax.Array, jax.Array]) -> tuple[tuple[Any, ...], None]:
        velocity, acceleration, warmstart, mean_velocity, mean_acceleration, _ = carry
        ahead, weight = numbers
        qpos = integrate_positions(mj_model, physics.qpos, velocity, ahead * h)
        velocity = physics.qvel + ahead * h * acceleration
        acceleration, warmstart, seen = forward(Physics(qpos, velocity, warmstart))
        mean_velocity += weight * velocity
        mean_acceleration += weight * acceleration
        return (velocity, acceleration, warmstart, mean_velocity, mean_acceleration, seen), None

    tableau = jnp.array([0, 0.5, 0.5, 1], jnp.float32), jnp.array([1, 2, 2, 1], jnp.float32) / 6
    start = (still, still, physics.qacc_warmstart, still, still, seen)
    (_, _, warmstart, velocity, acceleration, seen), _ = jax.lax.scan(stage, start, tableau)
    qpos = integrate_positions(mj_model, physics.qpos, velocity, h)
    return Physics(qpos, physics.qvel + h * acceleration, warmstart), seen


def integrate_positions(
    mj_model: mujoco.MjModel, qpos: jax.Array, qvel: jax.Array, seconds: jax.Array | float
) -> jax.Array:
    """Returns positions [nq] after moving with velocities `qvel` [nv] for so many `seconds`.

    Raises:
      NotImplementedError: for a ball joint; no task has one.
    """
    parts = []
    for kind, q, v in zip(mj_model.jnt_type, mj_model.jnt_qposadr, mj_model.jnt_dofadr, strict=True):
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            parts.append(qpos[q : q + 3] + seconds * qvel[v : v + 3])
            parts.append(turn(qpos[q + 3 : q + 7], seconds * qvel[v + 3 : v + 6]))
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            raise NotImplementedError("ball joints")
        else:
            parts.append(qpos[q : q + 1] + seconds * qvel[v : v + 1])
    return jnp.concatenate(parts)


def turn(quat: jax.Array, rotation: jax.Array) -> jax.Array:
    """Returns unit quaternion `quat` [4] turned by the rotation vector [3] (rad) in its own frame."""
    angle = jnp.sqrt(jnp.sum(jnp.square(rotation)) + 1e-20)
    w, vector = jnp.cos(angle / 2), jnp.sin(angle / 2) * rotation / angle
    turned = jnp.concatenate(
        [quat[:1] * w - quat[1:] @ vector, quat[:1] * vector + w * quat[1:] + jnp.cross(quat[1:], vector)]
    )
    return turned / jnp.linalg.norm(turned)
