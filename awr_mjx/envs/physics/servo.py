"""Robots that are driven by servos and touch nothing but the floor, in steps of 1/60 s: `ServoDynamics`.

A servo's torque kp (target - q) - kd q' is that at the end of the step, of the position and velocity that the step
leads to, and no more than it can give: that adds h kd + h^2 kp to the diagonal of the inertia, in which contacts and
limits are found together. A foot at rest is then not pushed by a damper that the contact solver does not know, a leg
that stands does not seem free to give way, and steps may be long where joints are stiff.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.physics import newton
from awr_mjx.envs.physics.constraints import Limits, unmet
from awr_mjx.envs.physics.contacts import FloorContacts
from awr_mjx.envs.physics.joints import ROOT, Joints
from awr_mjx.envs.physics.limbs import LimbSolver
from awr_mjx.envs.physics.tree import Tree


class Servos:
    """Servos on hinges and balls; a target is a pose [nq], of which the root's part is not looked at.

    Attributes:
      joints: the robot's.
      kp: stiffness, float32 [nv] (N m/rad).
      kd: damping, float32 [nv] (N m s/rad).
    """

    def __init__(self, m: mujoco.MjModel, kp: np.ndarray, kd: np.ndarray, torque_limit: np.ndarray) -> None:
        """Takes stiffness `kp` [nv], damping `kd` [nv] and the most that each joint gives, `torque_limit` [njnt]."""
        self.joints = Joints(m)
        self.kp, self.kd = jnp.asarray(kp, jnp.float32), jnp.asarray(kd, jnp.float32)
        self._hinge_limit = jnp.asarray(torque_limit[self.joints.hinges], jnp.float32)
        self._ball_limit = jnp.asarray(torque_limit[self.joints.balls], jnp.float32)[:, None]

    def error(self, qpos: jax.Array, target: jax.Array) -> jax.Array:
        """Returns how far joints are from their target [nv] (rad), a ball by a rotation vector in its own frame."""
        return self.joints.difference(qpos, target).at[:ROOT].set(0.0)

    def cut(self, torque: jax.Array) -> newton.Cut:
        """What the servos can give of torques [nv] (N m); a ball's limit is that of its norm."""
        hinges, balls = self.joints.split(torque)
        norms = jnp.sqrt(jnp.sum(jnp.square(balls), 1, keepdims=True) + 1e-12)
        share = self._ball_limit / norms
        kept = jnp.broadcast_to(jnp.minimum(share, 1.0), balls.shape)
        lost = jnp.where(share < 1, jnp.sqrt(share) * balls / norms, 0.0)  # at its limit, it can only turn
        free = (jnp.abs(hinges) < self._hinge_limit).astype(jnp.float32)
        given = self.joints.joined(torque[:ROOT], jnp.clip(hinges, -self._hinge_limit, self._hinge_limit), balls * kept)
        return newton.Cut(
            given,
            self.joints.joined(jnp.ones(ROOT), free, kept),
            self.joints.joined(jnp.zeros(ROOT), jnp.zeros_like(hinges), lost),
        )

    def sums(self, x: jax.Array) -> jax.Array:
        """Returns the sums of the balls' parts of a vector of joint coordinates [nv]."""
        return self.joints.split(x)[1].sum(1)


class ServoDynamics:
    """Accelerations of a robot with servos, as the integrator `euler` wants them.

    Attributes:
      tree: the robot's bodies.
    """

    def __init__(self, mj_model: mujoco.MjModel, servos: Servos, touching: Sequence[int], trunk: Sequence[int]) -> None:
        """Takes what does not change: which geoms touch the floor, and which bodies are the trunk (`LimbSolver`).

        Raises:
          NotImplementedError: if the model has other constraints than hinge limits, or touches with other shapes than
            spheres, capsules and boxes, or what pushes it is more than `Tree` knows.
        """
        m = self._mj = mj_model
        for what in unmet(m, (m.geom_bodyid == 0) & (m.geom_conaffinity != 0)):
            raise NotImplementedError(f"ServoDynamics: {what}")
        self._servos, self._limits, self._linear = servos, Limits(m), LimbSolver(m, trunk)
        self.tree = Tree(m)
        self._contacts = FloorContacts(m, touching, self._linear)
        h = float(m.opt.timestep)
        self._damping = (h * m.dof_damping).astype(np.float32)
        self._stiff = h * servos.kd + h * h * servos.kp

    def __call__(
        self, qpos: jax.Array, qvel: jax.Array, start: jax.Array, target: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns accelerations [nv] and the servos' torques [nv] (N m).

        Args:
          qpos: positions [nq].
          qvel: velocities [nv].
          start: accelerations [nv] at which the solver starts where something touches.
          target: the pose [nq] that the servos pull to.
        """
        m, servos, h = self._mj, self._servos, float(self._mj.opt.timestep)
        places = self.tree.places(qpos)
        inertia, free = self.tree.dynamics(places, qvel)
        inertia += jnp.diag(self._damping)
        blocks = self._linear.blocks(inertia)
        pull = servos.kp * servos.error(qpos, target) - (h * servos.kp + servos.kd) * qvel
        drive = newton.Drive(pull, self._stiff, servos.cut, servos.sums)

        sign, limit_weight, limit_target = self._limits.rows(m, qpos, qvel)
        limits, edges = len(self._limits.dof), self._contacts.edges(places, qvel)

        def along(a: jax.Array) -> jax.Array:
            return jnp.concatenate([sign * a[self._limits.dof], edges.along(a)])

        def back(force: jax.Array) -> jax.Array:
            return edges.back(force[limits:]) + self._limits.spread(sign * force[:limits])

        def direction(pushing: jax.Array, cut: newton.Cut | None, gradient: jax.Array) -> jax.Array:
            assert cut is not None
            held = self._linear.plus(blocks, cut.kept + self._limits.spread(pushing[:limits]))
            return self._linear.solve(edges.added(self._linear.less(held, cut.lost), pushing[limits:]), gradient)

        weight = jnp.concatenate([limit_weight, edges.weight])
        aim = jnp.concatenate([limit_target.reshape(-1), edges.target])
        steps = m.opt.iterations, m.opt.ls_iterations
        qacc, _ = newton.minimum(along, back, direction, inertia, free, weight, aim, start, steps, drive)
        return qacc, drive.torques(qacc).given
