"""DeepMimic's reward of imitation, as in its released code (`cSceneImitate::CalcRewardImitate`, commit 06e5b371).

The paper (Peng et al. 2018, section 5) has four of the five terms and other weights; AWR's experiments used the code.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.physics import rotations
from awr_mjx.envs.physics.joints import ROOT

WEIGHTS = {"pose": 0.5, "velocity": 0.05, "end_effector": 0.15, "root": 0.2, "com": 0.1}
# Of each term's error in its exponent. Those of pose and velocity are for 15 joints, and grow with their number.
SCALES = {"pose": 2.0, "velocity": 0.1, "end_effector": 10.0, "root": 5.0, "com": 10.0}
JOINTS = 15


@struct.dataclass
class Motion:
    """What the reward looks at, of the robot and of what it imitates.

    Attributes:
      qpos: float32 [nq] (m, rad, unit quaternions).
      qvel: float32 [nv] (m/s, rad/s); of the root in world axes if linear, its own if angular, as MuJoCo has them.
      ends: float32 [E, 3], places of the end effectors from the root in axes that turn with its heading, but their
        heights above the floor (m).
      com_velocity: float32 [3] (m/s).
    """

    qpos: jax.Array
    qvel: jax.Array
    ends: jax.Array
    com_velocity: jax.Array


class Reward:
    """The reward of a robot; `__call__` gives its five terms, each from 0 to 1."""

    def __init__(self, robot: Character) -> None:
        """Takes the joints' weights."""
        m = robot.model
        self._weight = np.zeros(m.nv, np.float32)
        self._weight[3:6] = robot.weight[0]  # the root's is of its rotation
        self._weight[ROOT:] = robot.weight[m.dof_jntid[ROOT:]]
        self._count = robot.joints / JOINTS

    def __call__(self, robot: Motion, wanted: Motion, apart: jax.Array) -> dict[str, jax.Array]:
        """Returns each term; `apart` [nv] is what turns the robot's pose into the wanted one (`Joints.difference`)."""
        speed = wanted.qvel - robot.qvel
        turning = rotations.rotated(wanted.qpos[3:7], wanted.qvel[3:6]) - rotations.rotated(
            robot.qpos[3:7], robot.qvel[3:6]
        )
        speed = jnp.concatenate([speed[:3], turning, speed[ROOT:]])
        square = jnp.square(apart)
        root = square[:3].sum() + 0.1 * square[3:6].sum()
        root += 0.01 * jnp.square(speed[:3]).sum() + 0.001 * jnp.square(turning).sum()
        error: dict[str, jax.Array] = {
            "pose": self._count * jnp.dot(self._weight, square),
            "velocity": self._count * jnp.dot(self._weight, jnp.square(speed)),
            "end_effector": jnp.square(wanted.ends - robot.ends).sum(),
            "root": root,
            "com": 0.1 * jnp.square(wanted.com_velocity - robot.com_velocity).sum(),
        }
        return {name: jnp.exp(-SCALES[name] * value) for name, value in error.items()}
