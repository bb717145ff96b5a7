"""Robots that are driven by servos and touch nothing but the floor, in steps of 1/60 s: `ServoDynamics`.

A servo's torque kp (target - q) - kd q' is that at the end of the step, of the position and velocity that the step
leads to: that adds h kd + h^2 kp to the diagonal of the inertia, before contacts see it. A foot at rest is then not
pushed by a damper that the contact solver does not know, and steps may be long where joints are stiff.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from mujoco import mjx

from envs.physics import newton
from envs.physics.constraints import EDGES, Limits, impedance, moves, unmet
from envs.physics.ground import Ground, ground
from envs.physics.joints import ROOT, Joints
from envs.physics.limbs import Blocks, LimbSolver


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
        self.kp, self.kd = kp.astype(np.float32), kd.astype(np.float32)
        self._hinge_limit, self._ball_limit = (
            torque_limit[of].astype(np.float32) for of in (self.joints.hinges, self.joints.balls)
        )

    def error(self, qpos: jax.Array, target: jax.Array) -> jax.Array:
        """Returns how far joints are from their target [nv] (rad), a ball by a rotation vector in its own frame."""
        return self.joints.difference(qpos, target).at[:ROOT].set(0.0)

    def share(self, torque: jax.Array) -> jax.Array:
        """Returns the share [nv] of torques [nv] (N m) that the servos can give, at most 1; a ball's is of its norm."""
        hinges, balls = self.joints.split(torque)
        of_hinges = self._hinge_limit / jnp.maximum(jnp.abs(hinges), 1e-6)
        of_balls = self._ball_limit / jnp.sqrt(jnp.sum(jnp.square(balls), 1) + 1e-12)
        of_balls = jnp.broadcast_to(of_balls[:, None], balls.shape)
        return jnp.minimum(self.joints.joined(jnp.ones(ROOT), of_hinges, of_balls), 1.0)


@dataclasses.dataclass(frozen=True)
class Part:
    """Points of some limbs of equal size, or of the trunk, that may touch the floor.

    Attributes:
      points: which, int [n, c]; the number of all points stands for none, where limbs have differently many.
      group: which group of limbs, or None for the trunk's.
      inner: float32 [n, c, s], 1 where a limb's coordinate moves the point.
      outer: float32 [n, c, T], the same of the trunk's.
    """

    points: np.ndarray
    group: int | None
    inner: np.ndarray
    outer: np.ndarray


class ServoDynamics:
    """Accelerations of a robot with servos, as the integrator `euler` wants them."""

    def __init__(self, mj_model: mujoco.MjModel, servos: Servos, touching: Sequence[int], trunk: Sequence[int]) -> None:
        """Takes what does not change: which geoms touch the floor, and which bodies are the trunk (`LimbSolver`).

        Raises:
          NotImplementedError: if the model has other constraints than hinge limits, or touches with other shapes than
            spheres, capsules and boxes.
        """
        m = self._mj = mj_model
        floors = np.flatnonzero((m.geom_bodyid == 0) & (m.geom_conaffinity != 0))
        for what in unmet(m, np.isin(np.arange(m.ngeom), floors)):
            raise NotImplementedError(f"ServoDynamics: {what}")
        if len(floors) != 1:
            raise NotImplementedError(f"ServoDynamics: {len(floors)} floors, not 1")
        self._servos, self._limits, self._linear = servos, Limits(m), LimbSolver(m, trunk)
        self._ground = ground(m, touching)
        self._parts = _parts(m, self._ground, self._linear)
        self._friction, self._solref, self._solimp = _contact(m, self._ground.geoms, int(floors[0]))
        body = m.geom_bodyid[self._ground.geoms]
        square = np.square(self._friction)
        self._inverse_weight = m.body_invweight0[body, 0] * (1 + square) * 2 * square / m.opt.impratio
        h = float(m.opt.timestep)
        self._damping = (h * m.dof_damping).astype(np.float32)
        self._stiff = h * servos.kd + h * h * servos.kp
        self._template = mjx.make_data(m)

    def __call__(
        self, model: mjx.Model, qpos: jax.Array, qvel: jax.Array, start: jax.Array, target: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns accelerations [nv] and the servos' torques [nv] (N m).

        Args:
          model: the model.
          qpos: positions [nq].
          qvel: velocities [nv].
          start: accelerations [nv] at which the solver starts where something touches.
          target: the pose [nq] that the servos pull to.
        """
        m, servos, h = self._mj, self._servos, float(self._mj.opt.timestep)
        data = self._template.replace(qpos=qpos, qvel=qvel)
        data = mjx.fwd_velocity(model, mjx.crb(model, mjx.com_pos(model, mjx.kinematics(model, data))))
        inertia, free = mjx.full_m(model, data), data.qfrc_passive - data.qfrc_bias
        blocks = self._linear.blocks(inertia)

        # Which servos are at their limit is what a step without contacts would ask of them: what the last step did
        # says nothing about it where they chatter, and less of the error would be another robot.
        pull = servos.kp * servos.error(qpos, target) - (h * servos.kp + servos.kd) * qvel
        predicted = self._linear.solve(self._plus(blocks, self._stiff + self._damping), pull + free)
        torque = pull - self._stiff * predicted
        share = servos.share(torque)
        pull = jnp.where(share < 1, share * torque, pull)
        servo = jnp.where(share < 1, 0.0, self._stiff)
        blocks = self._plus(blocks, servo + self._damping)
        inertia += jnp.diag(servo + self._damping)

        sign, limit_weight, limit_target = self._limits.rows(model, qpos, qvel)
        limits, spread = len(self._limits.dof), self._limits.spread
        parts, weight, wanted = self._contacts(data, qvel)
        trunk = self._linear.limbs.trunk

        def along(a: jax.Array) -> jax.Array:
            of_trunk, of_limbs = self._linear.split(a)
            found = [sign * a[self._limits.dof]]
            for part, (inner, outer) in zip(self._parts, parts, strict=True):
                row = outer @ of_trunk
                if part.group is not None:
                    row += jnp.einsum("nes,ns->ne", inner, of_limbs[part.group])
                found.append(row.reshape(-1))
            return jnp.concatenate(found)

        def by_part(rows: jax.Array) -> list[jax.Array]:
            sizes = [outer.shape[0] * outer.shape[1] for _, outer in parts]
            pieces = jnp.split(rows[limits:], np.cumsum(sizes)[:-1]) if sizes else []
            return [piece.reshape(outer.shape[:2]) for piece, (_, outer) in zip(pieces, parts, strict=True)]

        def back(force: jax.Array) -> jax.Array:
            of_trunk = jnp.zeros(len(trunk))
            of_limbs = [jnp.zeros(group.shape) for group in self._linear.groups]
            for part, (inner, outer), own in zip(self._parts, parts, by_part(force), strict=True):
                of_trunk += jnp.einsum("ne,net->t", own, outer)
                if part.group is not None:
                    of_limbs[part.group] += jnp.einsum("ne,nes->ns", own, inner)
            return self._linear.joined(of_trunk, of_limbs) + spread(sign * force[:limits])

        def direction(pushing: jax.Array, gradient: jax.Array) -> jax.Array:
            found = self._plus(blocks, spread(pushing[:limits]))
            core, inners, outers = found.trunk, list(found.inner), list(found.outer)
            for part, (inner, outer), own in zip(self._parts, parts, by_part(pushing), strict=True):
                core += jnp.einsum("net,neu->tu", outer * own[:, :, None], outer)
                if part.group is not None:
                    weighted = inner * own[:, :, None]
                    inners[part.group] += jnp.einsum("nes,neu->nsu", weighted, inner)
                    outers[part.group] += jnp.einsum("nes,net->nst", weighted, outer)
            return self._linear.solve(Blocks(core, tuple(inners), tuple(outers)), gradient)

        qacc, _ = newton.minimum(
            along,
            back,
            direction,
            inertia,
            pull + free,
            jnp.concatenate([limit_weight, weight]),
            jnp.concatenate([limit_target.reshape(-1), wanted]),
            start,
            (m.opt.iterations, m.opt.ls_iterations),
        )
        return qacc, pull - servo * qacc

    def _plus(self, blocks: Blocks, diagonal: jax.Array) -> Blocks:
        """The matrix with `diagonal` [nv] added."""
        trunk, limbs = self._linear.split(jnp.asarray(diagonal))
        inner = tuple(
            inner + own[:, :, None] * jnp.eye(own.shape[1]) for inner, own in zip(blocks.inner, limbs, strict=True)
        )
        return Blocks(blocks.trunk + jnp.diag(trunk), inner, blocks.outer)

    def _contacts(
        self, data: mjx.Data, qvel: jax.Array
    ) -> tuple[list[tuple[jax.Array, jax.Array]], jax.Array, jax.Array]:
        """Returns each part's edges, inner [n, 4 c, s] and outer [n, 4 c, T], and all weights [E] and targets [E]."""
        height, place = self._ground.points(data.geom_xpos, data.geom_xmat)
        arm = jnp.pad(place - data.subtree_com[1], ((0, 1), (0, 0)))
        height = jnp.pad(height, (0, 1), constant_values=1.0)
        friction, solref, solimp, inverse = (
            np.concatenate([x, x[-1:]]) for x in (self._friction, self._solref, self._solimp, self._inverse_weight)
        )
        trunk, of_limbs = self._linear.split(qvel)
        found, weights, targets = [], [], []
        for part in self._parts:
            at = part.points
            outer = self._edges(data, arm[at], self._linear.limbs.trunk[None], part.outer, friction[at])
            speed = outer @ trunk
            inner = jnp.zeros((*outer.shape[:2], 0))
            if part.group is not None:
                inner = self._edges(data, arm[at], self._linear.groups[part.group], part.inner, friction[at])
                speed += jnp.einsum("nes,ns->ne", inner, of_limbs[part.group])
            flat = at.reshape(-1)
            weight, target = impedance(
                float(self._mj.opt.timestep),
                jnp.asarray(solref[flat], jnp.float32),
                jnp.asarray(solimp[flat], jnp.float32),
                height[flat],
                jnp.asarray(inverse[flat], jnp.float32),
                speed.reshape(-1, EDGES),
            )
            found.append((inner, outer))
            weights.append(jnp.repeat(weight, EDGES))
            targets.append(target.reshape(-1))
        return found, jnp.concatenate([jnp.zeros(0), *weights]), jnp.concatenate([jnp.zeros(0), *targets])

    def _edges(
        self, data: mjx.Data, arm: jax.Array, dofs: np.ndarray, moved: np.ndarray, friction: np.ndarray
    ) -> jax.Array:
        """Returns how fast each edge of points moves, [n, 4 c, s], by the velocity of coordinates `dofs` [n, s].

        `arm` [n, c, 3] is from the centre of mass to the points, `moved` [n, c, s] whether a coordinate moves them.
        """
        turning, sliding = data.cdof[dofs][:, None, :, :3], data.cdof[dofs][:, None, :, 3:]
        point = (sliding + jnp.cross(turning, arm[:, :, None])) * moved[..., None]  # [n, c, s, 3]
        up, across = point[..., 2], friction[:, :, None, None] * point[..., :2]
        edges = jnp.stack([up + across[..., 1], up - across[..., 1], up + across[..., 0], up - across[..., 0]], 2)
        return edges.reshape(edges.shape[0], -1, edges.shape[-1])


def _parts(m: mujoco.MjModel, points: Ground, linear: LimbSolver) -> list[Part]:
    """Sorts points by the limb that they are on."""
    moved, body = moves(m), m.geom_bodyid[points.geoms]
    moved, body = np.concatenate([moved, np.zeros((1, m.nv), np.float32)]), np.append(body, m.nbody)
    limb, count, found = linear.limbs.bodies[body[:-1]], len(points.geoms), []
    trunk = linear.limbs.trunk
    starts = np.cumsum([0, *(len(group) for group in linear.groups)])
    for number, group in [(None, trunk[None, :0]), *enumerate(linear.groups)]:
        limbs = [-1] if number is None else range(starts[number], starts[number + 1])
        own = [np.flatnonzero(limb == one) for one in limbs]
        most = max(len(one) for one in own)
        if most:
            at = np.array([[*one, *[count] * (most - len(one))] for one in own])
            inner = np.stack([moved[body[row]][:, dofs] for row, dofs in zip(at, group, strict=True)])
            found.append(Part(at, number, inner, moved[body[at]][:, :, trunk]))
    return found


def _contact(m: mujoco.MjModel, geoms: np.ndarray, floor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Friction [P], solref [P, 2] and solimp [P, 5] of points of `geoms` on the floor, mixed as MuJoCo does."""
    ours, floors = m.geom_priority[geoms], m.geom_priority[floor]
    mix = m.geom_solmix[geoms] / (m.geom_solmix[geoms] + m.geom_solmix[floor])
    mix = np.where(ours == floors, mix, np.where(ours > floors, 1.0, 0.0))[:, None]
    friction = np.maximum(m.geom_friction[geoms, 0], m.geom_friction[floor, 0])
    friction = np.where(
        ours == floors, friction, np.where(ours > floors, m.geom_friction[geoms, 0], m.geom_friction[floor, 0])
    )
    solref = mix * m.geom_solref[geoms] + (1 - mix) * m.geom_solref[floor]
    return friction, solref, mix * m.geom_solimp[geoms] + (1 - mix) * m.geom_solimp[floor]
