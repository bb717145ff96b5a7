"""Poses of a robot with a free root, hinges and balls as vectors of joint coordinates."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.physics import rotations

FREE, BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
ROOT = 6  # coordinates of the free joint


class Joints:
    """Where a model's joints are in `qpos` and `qvel`; its first is the free root, and no other is free.

    Attributes:
      hinges: joints with one coordinate, int [H].
      balls: ball joints, int [B].
    """

    def __init__(self, m: mujoco.MjModel) -> None:
        """Takes what does not change from the model."""
        self.balls = np.flatnonzero(m.jnt_type == BALL)
        self.hinges = np.flatnonzero((m.jnt_type != BALL) & (m.jnt_type != FREE))
        self._ball_q, self._hinge_q = m.jnt_qposadr[self.balls][:, None] + np.arange(4), m.jnt_qposadr[self.hinges]
        self._ball_v, self._hinge_v = m.jnt_dofadr[self.balls][:, None] + np.arange(3), m.jnt_dofadr[self.hinges]
        self._to_qvel = np.argsort(np.concatenate([np.arange(ROOT), self._hinge_v, self._ball_v.reshape(-1)]))
        self._to_qpos = np.argsort(np.concatenate([np.arange(7), self._hinge_q, self._ball_q.reshape(-1)]))

    def split(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the hinges' part [H] and the balls' part [B, 3] of a vector of joint coordinates [nv]."""
        return x[self._hinge_v], x[self._ball_v]

    def joined(self, root: jax.Array, hinges: jax.Array, balls: jax.Array) -> jax.Array:
        """Returns the vector [nv] of a root's part [6], hinges' [H] and balls' [B, 3]."""
        return jnp.concatenate([root, hinges, balls.reshape(-1)])[self._to_qvel]

    def difference(self, qpos: jax.Array, target: jax.Array) -> jax.Array:
        """Returns what turns pose `qpos` [nq] into `target` [nq] as a vector [nv] (m in world axes, and rad).

        Rotations are vectors in the frame of what is turned, no longer than pi.
        """
        root = jnp.concatenate([target[:3] - qpos[:3], rotations.between(qpos[3:7], target[3:7])])
        balls = rotations.between(qpos[self._ball_q], target[self._ball_q])
        return self.joined(root, target[self._hinge_q] - qpos[self._hinge_q], balls)

    def moved(self, qpos: jax.Array, change: jax.Array) -> jax.Array:
        """Returns the pose [nq] that `change` [nv] makes of `qpos` [nq]: what `difference` undoes."""
        hinges, balls = self.split(change)
        root = jnp.concatenate([qpos[:3] + change[:3], _turned(qpos[3:7], change[3:6])])
        joints = qpos[self._hinge_q] + hinges, _turned(qpos[self._ball_q], balls).reshape(-1)
        return jnp.concatenate([root, *joints])[self._to_qpos]


def _turned(quat: jax.Array, rotation: jax.Array) -> jax.Array:
    return rotations.product(quat, rotations.exponential(rotation))
