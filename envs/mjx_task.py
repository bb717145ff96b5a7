"""What the MuJoCo tasks share: a model from `envs/assets`, a small physics state, and a control step of n substeps."""

import contextlib
import io
import pathlib

import jax
import jax.numpy as jnp
import mujoco
from flax import struct

with contextlib.redirect_stdout(io.StringIO()):  # MJX prints there that warp, which is optional, is not installed
    from mujoco import mjx

ASSETS = pathlib.Path(__file__).parent / "assets"


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

    def __init__(self, asset: str, frame_skip: int) -> None:
        """Loads `envs/assets/<asset>`; a control step is `frame_skip` physics steps."""
        self.mj_model = mujoco.MjModel.from_xml_path(str(ASSETS / asset))
        self.frame_skip = frame_skip
        self.dt = float(self.mj_model.opt.timestep) * frame_skip
        self.action_size = int(self.mj_model.nu)
        self._model = mjx.put_model(self.mj_model)
        self._template = mjx.make_data(self.mj_model)

    def init_physics(self, qpos: jax.Array, qvel: jax.Array) -> Physics:
        """Returns the state at rest of the solver with positions `qpos` [nq] and velocities `qvel` [nv]."""
        return Physics(
            qpos=jnp.asarray(qpos, jnp.float32),
            qvel=jnp.asarray(qvel, jnp.float32),
            qacc_warmstart=jnp.zeros(self.mj_model.nv, jnp.float32),
        )

    def step_physics(self, physics: Physics, ctrl: jax.Array) -> Physics:
        """Returns the state `dt` seconds later, with `ctrl` float32 [nu] held constant in the model's own units."""

        def substep(physics: Physics, _: None) -> tuple[Physics, None]:
            data = self._template.replace(
                qpos=physics.qpos, qvel=physics.qvel, qacc_warmstart=physics.qacc_warmstart, ctrl=ctrl
            )
            data = mjx.step(self._model, data)
            return Physics(data.qpos, data.qvel, data.qacc_warmstart), None

        return jax.lax.scan(substep, physics, None, length=self.frame_skip)[0]
