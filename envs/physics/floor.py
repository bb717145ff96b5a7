"""Forward dynamics of a robot that touches nothing but the floor, for the fast physics: `FloorDynamics`.

MJX gives what does not depend on constraints (kinematics, inertia, smooth forces, which points touch). The constraints'
rows and their solver, where MJX spends most of its time on small robots, are here: MuJoCo's own model of contact (its
documentation, "Computation"), the same minimum, less arithmetic. `tests/envs/physics/test_floor.py` holds both against
each other.
"""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct
from mujoco import mjx

from envs.physics.limbs import LimbSolver

LEAST, MOST = 1e-4, 0.9999  # impedance: MuJoCo's mjMINIMP and mjMAXIMP
EDGES = 4  # of the pyramid that stands for a friction cone


@struct.dataclass
class Rows:
    """Constraints of one state: L joint limits, each on one joint, then C contacts with 4 edges; E = L + 4 C.

    Attributes:
      sign: float32 [L], 1 where the joint is nearer to its lower limit, else -1.
      jacobian: float32 [4 C, nv], of the edges.
      weight: float32 [E], 1 / regularisation; 0 where nothing touches.
      target: float32 [E], the acceleration along the row that would let it give way as it should.
    """

    sign: jax.Array
    jacobian: jax.Array
    weight: jax.Array
    target: jax.Array


class FloorDynamics:
    """`mjx.forward` for models whose only constraints are hinge limits and contacts with the world.

    Where the model has Euler's method damp joints implicitly, accelerations are those that it integrates.
    """

    def __init__(self, mj_model: mujoco.MjModel) -> None:
        """Takes what does not change from the model.

        Raises:
          NotImplementedError: if the model has other constraints, or other settings of them.
        """
        m = mj_model
        solimp = np.concatenate([m.jnt_solimp, m.geom_solimp])
        solref = np.concatenate([m.jnt_solref, m.geom_solref])
        floor = (m.geom_bodyid == 0) & (m.geom_conaffinity != 0)
        unmet = {
            "equalities, tendons or friction losses": m.neq or m.ntendon or m.dof_frictionloss.any(),
            "a limited ball joint": (m.jnt_limited & (m.jnt_type == mujoco.mjtJoint.mjJNT_BALL)).any(),
            "geoms that meet on moving bodies": (m.geom_conaffinity[m.geom_bodyid > 0] != 0).any() or m.npair,
            "a floor that is not a plane": (m.geom_type[floor] != mujoco.mjtGeom.mjGEOM_PLANE).any(),
            "contacts of another dimension than 3": (m.geom_condim[floor] != 3).any() or (m.geom_condim > 3).any(),
            "elliptic friction cones": m.opt.cone != mujoco.mjtCone.mjCONE_PYRAMIDAL,
            "another solimp midpoint or power than 0.5, 2": (solimp[:, 3:] != (0.5, 2)).any(),
            "a solref that is not (time constant, damping ratio)": (solref <= 0).any(),
        }
        for what, found in unmet.items():
            if found:
                raise NotImplementedError(f"FloorDynamics: {what}")
        self._mj = m
        self._solve_linear = LimbSolver(m)
        self._limited = np.flatnonzero(m.jnt_limited)
        self._implicit = None  # what implicit damping adds to the inertia in Euler's method
        if not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EULERDAMP:
            self._implicit = np.diag(m.opt.timestep * m.dof_damping).astype(np.float32)
        self._dof, self._qpos = m.jnt_dofadr[self._limited], m.jnt_qposadr[self._limited]
        self._limit_of = np.full(m.nv, len(self._limited))  # of a joint coordinate; past the last where it has none
        self._limit_of[self._dof] = np.arange(len(self._limited))
        self._moves = np.zeros((m.nbody, m.nv), np.float32)  # 1 where a joint coordinate moves a body
        for body in range(1, m.nbody):
            first, count = m.body_dofadr[body], m.body_dofnum[body]
            self._moves[body] = self._moves[m.body_parentid[body]]
            if count:
                self._moves[body, first : first + count] = 1

    def __call__(self, model: mjx.Model, data: mjx.Data) -> mjx.Data:
        """Returns `data` with all that follows from positions, velocities, controls and warm start.

        That is `mjx.forward`'s result without the factor of the inertia matrix and the unconstrained acceleration.
        """
        data = mjx.crb(model, mjx.com_pos(model, mjx.kinematics(model, data)))
        data = mjx.transmission(model, mjx.collision(model, data))
        data = mjx.fwd_actuation(model, mjx.fwd_velocity(model, data))
        smooth = data.qfrc_passive - data.qfrc_bias + data.qfrc_actuator
        rows = self.rows(model, data)
        inertia = mjx.full_m(model, data)
        qacc, force = self.solve(rows, inertia, smooth, data.qacc_warmstart)
        if self._implicit is not None:  # the step's mean of damping that falls with the velocity
            qacc = self._solve_linear(inertia + self._implicit, inertia @ qacc)
        return data.tree_replace({"qacc": qacc, "qfrc_smooth": smooth, "_impl.efc_force": force})

    def rows(self, model: mjx.Model, data: mjx.Data) -> Rows:
        """Returns the constraints of a state whose kinematics, inertia and contacts `data` has."""
        limits, joints = jnp.asarray(self._limited), data.qpos[self._qpos]
        below, above = joints - model.jnt_range[limits, 0], model.jnt_range[limits, 1] - joints
        sign = jnp.where(below < above, 1.0, -1.0)
        limit_weight, limit_target = self._impedance(
            model.jnt_solref[limits],
            model.jnt_solimp[limits],
            jnp.minimum(below, above) - model.jnt_margin[limits],
            model.dof_invweight0[self._dof],
            (sign * data.qvel[self._dof])[:, None],
        )

        contact = data._impl.contact
        body = jnp.asarray(self._mj.geom_bodyid)[contact.geom[:, 1]]  # geom 0 is the world's
        arm = contact.pos - data.subtree_com[jnp.asarray(self._mj.body_rootid)[body]]
        turn, slide = data.cdof[:, :3], data.cdof[:, 3:]
        point = (slide + jnp.cross(turn[None], arm[:, None])) * jnp.asarray(self._moves)[body][:, :, None]
        normal, *tangents = jnp.moveaxis(jnp.einsum("cki,cvi->ckv", contact.frame, point), 1, 0)
        friction = contact.friction[:, :2]
        first, second = (friction[:, i, None] * tangents[i] for i in (0, 1))
        edges = jnp.stack([normal + first, normal - first, normal + second, normal - second], 1)
        square = jnp.square(friction[:, 0])
        edge_weight, edge_target = self._impedance(
            contact.solref,
            contact.solimp,
            contact.dist - contact.includemargin,
            model.body_invweight0[body, 0] * (1 + square) * 2 * square / self._mj.opt.impratio,
            edges @ data.qvel,
        )
        return Rows(
            sign=sign,
            jacobian=edges.reshape(-1, self._mj.nv),
            weight=jnp.concatenate([limit_weight, jnp.repeat(edge_weight, EDGES)]),
            target=jnp.concatenate([limit_target.reshape(-1), edge_target.reshape(-1)]),
        )

    def _impedance(
        self, solref: jax.Array, solimp: jax.Array, distance: jax.Array, inverse_weight: jax.Array, speed: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Returns (weight [n], target [n, k]) of n constraints of k rows of `speed` [n, k]; `distance` > 0 is free."""
        time = jnp.maximum(solref[:, 0], 2 * self._mj.opt.timestep)
        low, high = (jnp.clip(solimp[:, i], LEAST, MOST) for i in (0, 1))
        x = jnp.minimum(jnp.abs(distance) / solimp[:, 2], 1.0)
        impedance = low + jnp.where(x < 0.5, 2 * jnp.square(x), 1 - 2 * jnp.square(1 - x)) * (high - low)
        spring = impedance * distance / jnp.square(high * time * solref[:, 1])
        target = -(2 / (high * time))[:, None] * speed - spring[:, None]
        return jnp.where(distance < 0, impedance / ((1 - impedance) * inverse_weight), 0.0), target

    def solve(self, rows: Rows, inertia: jax.Array, smooth: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Finds accelerations [nv] and the rows' forces [E] with `opt.iterations` steps of Newton's method.

        They minimise 0.5 (a - a0)' M (a - a0) + 0.5 sum_i weight_i min(0, row_i a - target_i)^2, where a0 are the
        accelerations without constraints: convex, and quadratic wherever the set of rows that push stays the same.

        Args:
          rows: the constraints.
          inertia: M, float32 [nv, nv].
          smooth: M a0, float32 [nv].
          start: where to start, float32 [nv].
        """
        limits = len(self._dof)

        def along(a: jax.Array) -> jax.Array:
            return jnp.concatenate([rows.sign * a[self._dof], rows.jacobian @ a])

        def spread(x: jax.Array) -> jax.Array:  # a gather, which CPUs do faster than a scatter
            return jnp.pad(x, (0, 1))[self._limit_of]

        def back(force: jax.Array) -> jax.Array:
            return force[limits:] @ rows.jacobian + spread(rows.sign * force[:limits])

        def newton(i: jax.Array, carry: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
            acceleration, excess, momentum = carry
            # The first step takes it that all that touches pushes: nearer to the truth than what pushed a step ago.
            pushing = jnp.where((excess < 0) | (i == 0), rows.weight, 0.0)
            unbalanced = momentum - smooth
            gradient = unbalanced + back(pushing * excess)
            hessian = (rows.jacobian.T * pushing[limits:]) @ rows.jacobian
            hessian += inertia + jnp.eye(self._mj.nv) * spread(pushing[:limits])
            direction = -self._solve_linear(hessian, gradient)
            moved, gained = along(direction), inertia @ direction
            slope, curvature = direction @ unbalanced, direction @ gained
            length = self._line_search(slope, curvature, rows.weight, excess, moved)
            return acceleration + length * direction, excess + length * moved, momentum + length * gained

        carry = start, along(start) - rows.target, inertia @ start
        acceleration, excess, _ = jax.lax.fori_loop(0, self._mj.opt.iterations, newton, carry)
        return acceleration, -rows.weight * jnp.minimum(excess, 0.0)

    def _line_search(
        self, slope: jax.Array, curvature: jax.Array, weight: jax.Array, excess: jax.Array, moved: jax.Array
    ) -> jax.Array:
        """Returns the length [] along a direction where the cost is least, after `opt.ls_iterations` steps.

        The cost's derivative, slope + length curvature + sum of weight moved min(0, excess + length moved), rises piece
        by piece in straight lines: Newton's method finds its zero, kept between the best bounds so far.
        """
        length, low, high = jnp.ones(()), jnp.zeros(()), jnp.full((), jnp.inf)
        for _ in range(self._mj.opt.ls_iterations):
            there = excess + length * moved
            pushing = jnp.where(there < 0, weight * moved, 0.0)
            derivative, rise = slope + length * curvature + pushing @ there, curvature + pushing @ moved
            low, high = jnp.where(derivative <= 0, length, low), jnp.where(derivative > 0, length, high)
            guess = length - derivative / jnp.where(rise > 0, rise, 1.0)
            halved = jnp.where(jnp.isfinite(high), (low + high) / 2, guess)
            length = jnp.where((low <= guess) & (guess <= high), guess, halved)
        return length
