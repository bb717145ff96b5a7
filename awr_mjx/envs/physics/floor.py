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

from awr_mjx.envs.physics import newton
from awr_mjx.envs.physics.constraints import EDGES, Limits, impedance, laid, moves, unmet
from awr_mjx.envs.physics.ground import CAPSULE
from awr_mjx.envs.physics.limbs import LimbSolver


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
        for what in unmet(m, (m.geom_bodyid == 0) & (m.geom_conaffinity != 0)):
            raise NotImplementedError(f"FloorDynamics: {what}")
        self._mj = m
        self._solve_linear = LimbSolver(m)
        self._implicit = None  # what implicit damping adds to the inertia in Euler's method
        if not m.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_EULERDAMP:
            self._implicit = np.diag(m.opt.timestep * m.dof_damping).astype(np.float32)
        self._limits, self._moves = Limits(m), moves(m)

    def __call__(self, model: mjx.Model, data: mjx.Data) -> mjx.Data:
        """Returns `data` with all that follows from positions, velocities, controls and warm start.

        That is `mjx.forward`'s result without the factor of the inertia matrix and the unconstrained acceleration, and
        with the friction of capsules as MuJoCo has it.
        """
        data = mjx.crb(model, mjx.com_pos(model, mjx.kinematics(model, data)))
        data = mjx.transmission(model, self._along_capsules(mjx.collision(model, data)))
        data = mjx.fwd_actuation(model, mjx.fwd_velocity(model, data))
        smooth = data.qfrc_passive - data.qfrc_bias + data.qfrc_actuator
        rows = self.rows(model, data)
        inertia = mjx.full_m(model, data)
        qacc, force = self.solve(rows, inertia, smooth, data.qacc_warmstart)
        if self._implicit is not None:  # the step's mean of damping that falls with the velocity
            qacc = self._solve_linear(inertia + self._implicit, inertia @ qacc)
        return data.tree_replace({"qacc": qacc, "qfrc_smooth": smooth, "_impl.efc_force": force})

    def _along_capsules(self, data: mjx.Data) -> mjx.Data:
        """Lays friction pyramids along capsules, as MuJoCo does."""
        contact = data._impl.contact
        geom, normal = contact.geom[:, 1], contact.frame[:, 0]
        capsule = jnp.asarray(self._mj.geom_type == CAPSULE)[geom]
        along = laid(data.geom_xmat[geom][:, :, 2], normal, capsule, contact.frame[:, 1])
        frame = jnp.stack([normal, along, jnp.cross(normal, along)], 1)
        return data.tree_replace({"_impl.contact.frame": frame})

    def rows(self, model: mjx.Model, data: mjx.Data) -> Rows:
        """Returns the constraints of a state whose kinematics, inertia and contacts `data` has."""
        sign, limit_weight, limit_target = self._limits.rows(model, data.qpos, data.qvel)

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
        edge_weight, edge_target = impedance(
            self._mj.opt.timestep,
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

    def solve(self, rows: Rows, inertia: jax.Array, smooth: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Finds accelerations [nv] and the rows' forces [E] with `opt.iterations` steps of Newton's method.

        Args:
          rows: the constraints.
          inertia: M, float32 [nv, nv].
          smooth: M a0, float32 [nv], of the accelerations without constraints.
          start: where to start, float32 [nv].
        """
        limits, spread = len(self._limits.dof), self._limits.spread

        def along(a: jax.Array) -> jax.Array:
            return jnp.concatenate([rows.sign * a[self._limits.dof], rows.jacobian @ a])

        def back(force: jax.Array) -> jax.Array:
            return force[limits:] @ rows.jacobian + spread(rows.sign * force[:limits])

        def direction(pushing: jax.Array, _: newton.Cut | None, gradient: jax.Array) -> jax.Array:
            hessian = (rows.jacobian.T * pushing[limits:]) @ rows.jacobian
            hessian += inertia + jnp.eye(self._mj.nv) * spread(pushing[:limits])
            return self._solve_linear(hessian, gradient)

        steps = self._mj.opt.iterations, self._mj.opt.ls_iterations
        return newton.minimum(along, back, direction, inertia, smooth, rows.weight, rows.target, start, steps)
