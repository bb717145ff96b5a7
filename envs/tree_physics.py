"""MuJoCo's equations for a small tree with floor contacts and joint limits, in dense form and with finer contact steps.

`mjx.step` is general; for one small robot in a large batch most of its time goes into tree scans (scatters) and a line
search, and Gymnasium's stiff joint limits need either RK4 or many small steps. This module keeps MJX's kinematics and
MuJoCo's model of soft constraints and solves the rest with a few dense products:

* inertia and bias forces come from the bodies' Jacobians, J^T m J: no loop over the tree;
* they are evaluated once per physics step, at the midpoint (position Verlet: second order for the price of Euler);
* limits and contacts, the stiff part, are solved several times per physics step, with positions moved on linearly;
* the constraint solver is Newton's method on MuJoCo's own convex cost, with a fixed number of full steps.

Notation: nv degrees of freedom, B bodies (the world left out), C contact points, L limited joints.
"""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct
from mujoco import mjx


@struct.dataclass
class _Contacts:
    """Floor contacts: `dist` [C] in m, `jacobian` [C, 3, nv] of the normal and two tangents."""

    dist: jax.Array
    jacobian: jax.Array


class TreePhysics:
    """Steps one free-floating tree of hinges over the plane z = 0; pure functions of arrays for one environment.

    Holds for models with one free root joint followed by hinges, motors on joints, geoms that touch nothing but one
    horizontal plane through the origin, condim 3 and the pyramidal friction cone. The constructor checks this.
    """

    def __init__(self, mj_model: mujoco.MjModel, contact_steps: int = 2, newton_steps: int = 2) -> None:
        """Prepares constants.

        Args:
          mj_model: the compiled model; its time step is that of the smooth dynamics.
          contact_steps: constraint solves per physics step.
          newton_steps: Newton iterations per constraint solve.

        Raises:
          ValueError: if the model has parts that this module does not cover.
        """
        m = mj_model
        joints = list(m.jnt_type)
        free, hinge = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_HINGE)
        if joints[:1] != [free] or any(j != hinge for j in joints[1:]) or m.neq or m.ntendon or m.na:
            raise ValueError("TreePhysics needs one free joint first, then hinges, and no equality, tendon or activation")
        self.contact_steps, self.newton_steps = contact_steps, newton_steps
        self.timestep = float(m.opt.timestep)
        self._model = mjx.put_model(m)
        self._template = mjx.make_data(m)
        self._nv = m.nv

        # ancestors[b, i]: does degree of freedom i move body b?
        ancestors = np.zeros((m.nbody, m.nv), np.float32)
        for body in range(1, m.nbody):
            ancestors[body] = ancestors[m.body_parentid[body]]
            start = m.body_dofadr[body]
            ancestors[body, start : start + m.body_dofnum[body]] = 1
        self._ancestors = ancestors[1:]
        self._root_mass = np.sqrt(m.body_mass[1:]).astype(np.float32)
        self._mass = m.body_mass[1:].astype(np.float32)
        self._inertia = m.body_inertia[1:].astype(np.float32)
        self._gravity = m.opt.gravity.astype(np.float32)
        self._armature = np.diag(m.dof_armature).astype(np.float32)
        self._damping = m.dof_damping.astype(np.float32)
        transmission = np.zeros((m.nu, m.nv), np.float32)
        transmission[np.arange(m.nu), m.jnt_dofadr[m.actuator_trnid[:, 0]]] = m.actuator_gear[:, 0]
        self._transmission = transmission

        limited = np.flatnonzero(m.jnt_limited)
        if not np.array_equal(limited, np.arange(1, m.njnt)):
            raise ValueError("TreePhysics needs limits on all hinges")
        self._range = m.jnt_range[1:].astype(np.float32)
        self._limit_invweight = m.dof_invweight0[6:].astype(np.float32)
        self._limit_solref, self._limit_solimp = m.jnt_solref[1], m.jnt_solimp[1]

        # A plane touches a sphere in one point and a capsule in its two end spheres.
        floor = int(np.flatnonzero(m.geom_type == int(mujoco.mjtGeom.mjGEOM_PLANE))[0])
        sphere, capsule = int(mujoco.mjtGeom.mjGEOM_SPHERE), int(mujoco.mjtGeom.mjGEOM_CAPSULE)
        geoms, offsets = [], []
        for geom in np.flatnonzero(m.geom_contype & m.geom_conaffinity[floor]):
            if geom == floor:
                continue
            ends = {sphere: [0.0], capsule: [m.geom_size[geom, 1], -m.geom_size[geom, 1]]}[int(m.geom_type[geom])]
            geoms += [geom] * len(ends)
            offsets += ends
        self._geoms, self._offsets = np.array(geoms), np.array(offsets, np.float32)
        self._radius = m.geom_size[self._geoms, 0].astype(np.float32)
        self._contact_ancestors = self._ancestors[m.geom_bodyid[self._geoms] - 1]
        self._is_capsule = m.geom_type[self._geoms] == capsule
        self._margin = float(m.geom_margin[floor] + m.geom_margin[self._geoms[0]])
        self._friction = float(max(m.geom_friction[floor, 0], m.geom_friction[self._geoms[0], 0]))
        invweight = m.body_invweight0[m.geom_bodyid[self._geoms], 0]
        mu2 = self._friction**2
        self._contact_invweight = (invweight * (1 + mu2) * 2 * mu2 / m.opt.impratio).astype(np.float32)
        self._contact_solref, self._contact_solimp = m.geom_solref[self._geoms[0]], m.geom_solimp[self._geoms[0]]
        mu = self._friction
        # the four edges of the friction pyramid in (normal, tangent, tangent)
        self._edges = np.array([[1, mu, 0], [1, -mu, 0], [1, 0, mu], [1, 0, -mu]], np.float32)

    def step(self, qpos: jax.Array, qvel: jax.Array, qacc: jax.Array, ctrl: jax.Array):
        """Returns (qpos, qvel, qacc) one physics step later.

        Args:
          qpos: float32 [nq]; qvel: float32 [nv]; qacc: float32 [nv], where the solver starts.
          ctrl: float32 [nu], inside the actuators' range.
        """
        h = self.timestep
        middle = integrate(qpos, qvel, 0.5 * h)
        inertia, bias, contacts, angles = self.smooth(middle, qvel)
        force = ctrl @ self._transmission - self._damping * qvel - bias

        dt = h / self.contact_steps
        moved = -0.5 * h * qvel  # displacement since `middle`, in velocity coordinates
        total = jnp.zeros_like(qvel)
        for _ in range(self.contact_steps):
            qacc = self._solve(inertia, force, contacts, angles, moved + total + 0.5 * dt * qvel, qvel, qacc)
            total = total + dt * (qvel + 0.5 * dt * qacc)
            qvel = qvel + dt * qacc
        return integrate(qpos, total / h, h), qvel, qacc

    def smooth(self, qpos: jax.Array, qvel: jax.Array):
        """Returns inertia [nv, nv], bias force [nv], contacts and joint angles [L] at a state."""
        d = mjx.kinematics(self._model, self._template.replace(qpos=qpos))
        root, rotation = d.xpos[1], d.xmat[1]
        axis = jnp.concatenate([jnp.zeros((3, 3)), rotation.T, d.xaxis[1:]])  # [nv, 3], what turns
        anchor = jnp.concatenate([jnp.tile(root, (6, 1)), d.xanchor[1:]])  # [nv, 3], about what
        slide = jnp.asarray(np.eye(self._nv, 3, dtype=np.float32))  # [nv, 3], what shifts

        mask = self._ancestors[:, :, None]  # [B, nv, 1]
        points, frames = d.xipos[1:], d.ximat[1:]
        turn = mask * axis  # [B, nv, 3]
        shift = mask * (cross(axis, points[:, None] - anchor) + slide)  # [B, nv, 3]

        omega = jnp.einsum("bnk,n->bk", turn, qvel)
        velocity = jnp.einsum("bnk,n->bk", shift, qvel)
        # The dof's own axis and anchor move with its body.
        owner = np.array([int(np.flatnonzero(self._ancestors[:, i])[0]) for i in range(self._nv)])
        omega_dof = omega[owner]
        axis_rate = cross(omega_dof, axis)
        velocity_anchor = velocity[owner] + cross(omega_dof, anchor - points[owner])
        weight = mask * qvel[:, None]
        alpha = jnp.sum(weight * axis_rate, 1)
        lever = points[:, None] - anchor
        lever_rate = velocity[:, None] - velocity_anchor
        acceleration = jnp.sum(weight * (cross(axis_rate, lever) + cross(axis, lever_rate)), 1)

        local_turn = jnp.einsum("bnk,bkj->bnj", turn, frames)  # in the bodies' principal axes
        local_omega = jnp.einsum("bk,bkj->bj", omega, frames)
        local_alpha = jnp.einsum("bk,bkj->bj", alpha, frames)
        torque = self._inertia * local_alpha + cross(local_omega, self._inertia * local_omega)
        force = self._mass[:, None] * (acceleration - self._gravity)
        bias = jnp.einsum("bnk,bk->n", shift, force) + jnp.einsum("bnk,bk->n", local_turn, torque)

        rows = jnp.concatenate(
            [shift * self._root_mass[:, None, None], local_turn * np.sqrt(self._inertia)[:, None, :]], -1
        )  # [B, nv, 6]
        rows = rows.swapaxes(0, 1).reshape(self._nv, -1)
        inertia = rows @ rows.T + self._armature

        return inertia, bias, self._contacts(d, axis, anchor, slide), qpos[7:]

    def _contacts(self, d: mjx.Data, axis: jax.Array, anchor: jax.Array, slide: jax.Array) -> _Contacts:
        along = d.geom_xmat[self._geoms, :, 2]  # [C, 3], the capsules' directions
        center = d.geom_xpos[self._geoms] + along * self._offsets[:, None]
        dist = center[:, 2] - self._radius
        # MuJoCo puts the contact halfway between the surfaces and turns the friction pyramid along the capsule.
        point = center.at[:, 2].add(-(self._radius + 0.5 * dist))
        flat = along[:, :2] / jnp.maximum(jnp.linalg.norm(along[:, :2], axis=1, keepdims=True), 1e-8)
        upright = (jnp.linalg.norm(along[:, :2], axis=1) < 0.5) | ~self._is_capsule
        tangent = jnp.where(upright[:, None], jnp.array([0.0, 1.0]), flat)
        jacobian = self._contact_ancestors[:, :, None] * (cross(axis, point[:, None] - anchor) + slide)  # [C, nv, 3]
        x, y, z = jacobian[..., 0], jacobian[..., 1], jacobian[..., 2]
        tx, ty = tangent[:, :1], tangent[:, 1:]
        return _Contacts(dist, jnp.stack([z, tx * x + ty * y, tx * y - ty * x], 1))

    def _solve(self, inertia, force, contacts, angles, moved, qvel, qacc):
        """Returns the acceleration [nv] that minimises MuJoCo's cost, from the guess `qacc`."""
        angle = angles + moved[6:]
        low, high = angle - self._range[:, 0], self._range[:, 1] - angle
        limit = jnp.minimum(low, high)
        sign = jnp.where(low < high, 1.0, -1.0)
        limit_d, limit_aref = soft(limit, sign * qvel[6:], self._limit_solref, self._limit_solimp, self._limit_invweight)
        limit_d = jnp.where(limit < 0, limit_d, 0.0)

        jac = contacts.jacobian
        flat = jac.reshape(-1, self._nv)  # [3C, nv]
        gap = contacts.dist + jac[:, 0] @ moved - self._margin
        speed = (flat @ qvel).reshape(-1, 3) @ self._edges.T  # [C, 4]
        contact_d, contact_aref = soft(
            gap[:, None], speed, self._contact_solref, self._contact_solimp, self._contact_invweight[:, None]
        )
        contact_d = jnp.where(gap[:, None] < 0, contact_d, 0.0)

        outer = np.einsum("ei,ej->eij", self._edges, self._edges).reshape(4, 9)
        for _ in range(self.newton_steps):
            limit_on = jnp.where(sign * qacc[6:] < limit_aref, limit_d, 0.0)
            on = jnp.where((flat @ qacc).reshape(-1, 3) @ self._edges.T < contact_aref, contact_d, 0.0)  # [C, 4]
            weight = (on @ outer).reshape(-1, 3, 3)
            push = ((on * contact_aref) @ self._edges).reshape(-1)  # [3C]
            weighted = jnp.einsum("cij,cjn->cin", weight, jac).reshape(-1, self._nv)
            diagonal = jnp.concatenate([jnp.zeros(6), limit_on])
            hessian = inertia + flat.T @ weighted + jnp.diag(diagonal)
            target = force + push @ flat + jnp.concatenate([jnp.zeros(6), limit_on * limit_aref * sign])
            qacc = jax.scipy.linalg.cho_solve((jnp.linalg.cholesky(hessian), True), target)
        return qacc


def soft(pos, speed, solref, solimp, invweight):
    """Returns MuJoCo's (1 / regulariser, reference acceleration) of constraints at residual `pos` and rate `speed`."""
    timeconst, dampratio = float(solref[0]), float(solref[1])
    dmin, dmax, width, mid, power = map(float, solimp)
    if (mid, power) != (0.5, 2.0):
        raise ValueError("TreePhysics covers MuJoCo's default solimp midpoint 0.5 and power 2")
    x = jnp.minimum(jnp.abs(pos) / width, 1.0)
    y = jnp.where(x < 0.5, 2.0 * x * x, 1.0 - 2.0 * (1.0 - x) ** 2)
    impedance = dmin + y * (dmax - dmin)
    stiffness = 1.0 / (dmax * timeconst * dampratio) ** 2
    damping = 2.0 / (dmax * timeconst)
    aref = -damping * speed - stiffness * impedance * pos
    return impedance / ((1.0 - impedance) * invweight), aref


def cross(a: jax.Array, b: jax.Array) -> jax.Array:
    """Returns a x b over the last axis; written out, which XLA fuses better than `jnp.cross`."""
    a, b = jnp.broadcast_arrays(a, b)
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return jnp.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -1)


def integrate(qpos: jax.Array, qvel: jax.Array, dt: float) -> jax.Array:
    """Returns `qpos` [7 + L] moved on by `qvel` [6 + L] for `dt` seconds; the root turns about its own axes."""
    w, x, y, z = qpos[3], qpos[4], qpos[5], qpos[6]
    omega = qvel[3:6]
    speed = jnp.sqrt(jnp.sum(omega * omega) + 1e-20)
    half = 0.5 * dt * speed
    c, (a, b, d) = jnp.cos(half), jnp.sin(half) / speed * omega
    quat = jnp.stack(
        [w * c - x * a - y * b - z * d, w * a + x * c + y * d - z * b,
         w * b - x * d + y * c + z * a, w * d + x * b - y * a + z * c]
    )
    quat = quat / jnp.sqrt(jnp.sum(quat * quat))
    return jnp.concatenate([qpos[:3] + dt * qvel[:3], quat, qpos[7:] + dt * qvel[6:]])
