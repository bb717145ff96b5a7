"""A robot of rigid bodies on one free root: where its bodies are, its inertia and its bias forces (`Tree`).

MJX goes through a robot body by body, and XLA compiles each by itself. Here all are done at once: places by doubling,
as each round doubles how many of its forebears a body knows, and sums along chains of bodies as products with fixed
matrices of zeros and ones. The formulas are MuJoCo's: Featherstone's (2008), in axes of the world, about the robot's
centre of mass.
"""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct

from awr_mjx.envs.physics import rotations
from awr_mjx.envs.physics.constraints import moves
from awr_mjx.envs.physics.joints import BALL, FREE, ROOT

UNTURNED = np.array([1.0, 0.0, 0.0, 0.0])


@struct.dataclass
class Places:
    """Where a robot is. What has a name of `mujoco.MjData` is the same.

    Attributes:
      xpos: the bodies' places, float32 [nbody, 3] (m).
      geom_xpos: those of the geoms, float32 [ngeom, 3] (m).
      geom_xmat: the geoms' axes, float32 [ngeom, 3, 3].
      com: the robot's centre of mass, float32 [3] (m).
      cdof: float32 [nv, 6], how a body moves at `com` with each of its coordinates: turning, then sliding.
      inertia: float32 [nbody, 13], of each body about `com`: its matrix, mass times arm, and mass.
    """

    xpos: jax.Array
    geom_xpos: jax.Array
    geom_xmat: jax.Array
    com: jax.Array
    cdof: jax.Array
    inertia: jax.Array


class Tree:
    """Kinematics and dynamics of a robot with a free root, and hinges and balls below it."""

    def __init__(self, m: mujoco.MjModel) -> None:
        """Takes what does not change from the model.

        Raises:
          NotImplementedError: if the robot has springs, weights that are compensated, or moves in a fluid, or if a
            joint slides.
        """
        if m.jnt_stiffness.any() or m.body_gravcomp.any() or m.opt.density or m.opt.viscosity:
            raise NotImplementedError("Tree: springs, compensated weights, or a fluid")
        if (m.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE).any():
            raise NotImplementedError("Tree: a joint that slides")
        self._frames = _Frames(m)
        self._geom_frame = self._frames.last[m.geom_bodyid]
        self._geom_pos, self._geom_quat = _constant(m.geom_pos), _constant(m.geom_quat)
        self._ipos, self._iquat, self._moment = (
            _constant(m.body_ipos),
            _constant(m.body_iquat),
            _constant(m.body_inertia),
        )
        self._mass, self._share = _constant(m.body_mass)[:, None], _constant(m.body_mass / m.body_mass.sum())
        self._moves, self._before = _constant(moves(m)), _constant(_before(m))
        self._below = _constant(np.array([[_is_below(m, b, a) for b in range(m.nbody)] for a in range(m.nbody)]))
        self._dof_body = m.dof_bodyid
        self._lower = jnp.tril(self._moves[m.dof_bodyid], -1)
        self._armature, self._damping = _constant(m.dof_armature), _constant(m.dof_damping)
        self._gravity = _constant(np.concatenate([np.zeros(3), m.opt.gravity]))

    def places(self, qpos: jax.Array) -> Places:
        """Returns where everything is at positions `qpos` [nq]."""
        frames = self._frames
        pos, quat = frames(qpos)
        xpos, xquat = pos[frames.last], quat[frames.last]
        centres = xpos + rotations.rotated(xquat, self._ipos)
        com = self._share @ centres
        arm = centres - com
        axes = rotations.matrix(rotations.product(xquat, self._iquat))
        moment = jnp.einsum("bik,bjk->bij", axes * self._moment[:, None], axes)
        square = jnp.sum(arm * arm, 1)[:, None, None] * jnp.eye(3) - arm[:, :, None] * arm[:, None]
        matrix = (moment + self._mass[:, :, None] * square).reshape(-1, 9)
        at, turned = pos[self._geom_frame], quat[self._geom_frame]
        return Places(
            xpos=xpos,
            geom_xpos=at + rotations.rotated(turned, self._geom_pos),
            geom_xmat=rotations.matrix(rotations.product(turned, self._geom_quat)),
            com=com,
            cdof=frames.motions(pos, quat, com),
            inertia=jnp.concatenate([matrix, self._mass * arm, self._mass], 1),
        )

    def dynamics(self, places: Places, qvel: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the inertia [nv, nv], and the forces [nv] of weight, rotation and dampers at velocities [nv].

        Without anything else that pushes, accelerations are the second divided by the first.
        """
        cdof = places.cdof
        composite = (self._below @ places.inertia)[self._dof_body]
        force = _times(composite, cdof)
        lower = self._lower * (force @ cdof.T)
        inertia = lower + lower.T + jnp.diag(jnp.sum(force * cdof, 1) + self._armature)

        motion = cdof * qvel[:, None]
        turning = _cross_motion(self._before @ motion, cdof) * qvel[:, None]
        velocity, acceleration = jnp.split(self._moves @ jnp.concatenate([motion, turning], 1), 2, axis=1)
        held = _times(places.inertia, acceleration - self._gravity) + _cross_force(
            velocity, _times(places.inertia, velocity)
        )
        bias = jnp.sum(cdof * (self._moves.T @ held), 1)
        return inertia, -bias - self._damping * qvel

    def com_velocity(self, places: Places, qvel: jax.Array) -> jax.Array:
        """Returns the velocity [3] of the centre of mass (m/s)."""
        velocity = self._moves @ (places.cdof * qvel[:, None])
        return _times(places.inertia, velocity)[:, 3:].sum(0) / self._mass.sum()


class _Frames:
    """A robot as frames that turn by one joint each: as many a body as it has joints, but one where it has none.

    Attributes:
      last: the frame that is the body's own, int [nbody].
    """

    def __init__(self, m: mujoco.MjModel) -> None:
        self.last = np.zeros(m.nbody, int)
        parent, pos, quat, of_frame = [0], [np.zeros(3)], [UNTURNED], [-1]  # the world
        for body in range(1, m.nbody):
            joints = [int(m.body_jntadr[body]) + k for k in range(int(m.body_jntnum[body]))]
            at, free = self.last[m.body_parentid[body]], any(m.jnt_type[joint] == FREE for joint in joints)
            for joint in joints or [-1]:
                placed = free or joint not in (-1, *joints[:1])  # by its coordinates, or by the joint before
                parent.append(int(at))
                pos.append(np.zeros(3) if placed else m.body_pos[body])
                quat.append(UNTURNED if placed else m.body_quat[body])
                of_frame.append(joint)
                at = len(parent) - 1
            self.last[body] = at
        self._parent, self._pos, self._quat = np.array(parent), _constant(np.array(pos)), _constant(np.array(quat))
        anchor = np.array([m.jnt_pos[joint] if joint > 0 else np.zeros(3) for joint in of_frame])
        self._anchor, self._anchored = _constant(anchor), bool(anchor.any())

        frame_of = np.array([of_frame.index(joint) for joint in range(m.njnt)])
        hinges, balls = np.flatnonzero(m.jnt_type > BALL), np.flatnonzero(m.jnt_type == BALL)
        self._root, self._hinges, self._balls = frame_of[:1], frame_of[hinges], frame_of[balls]
        self._ball_body = self.last[m.jnt_bodyid[balls]]
        self._axis = _constant(m.jnt_axis[hinges])
        self._hinge_q, self._ball_q = m.jnt_qposadr[hinges], m.jnt_qposadr[balls][:, None] + np.arange(4)
        ball_v = (m.jnt_dofadr[balls][:, None] + np.arange(3)).reshape(-1)
        self._to_qvel = np.argsort(np.concatenate([np.arange(ROOT), m.jnt_dofadr[hinges], ball_v]))
        still = np.flatnonzero(np.array(of_frame) < 0)
        self._still = _constant(np.tile(UNTURNED, (len(still), 1)))
        self._to_frames = np.argsort(np.concatenate([self._root, self._hinges, self._balls, still]))

    def __call__(self, qpos: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns places [F, 3] (m) and rotations [F, 4] of the frames."""
        half = qpos[self._hinge_q][:, None] / 2
        own = jnp.concatenate(
            [
                rotations.normalized(qpos[3:7])[None],
                jnp.concatenate([jnp.cos(half), jnp.sin(half) * self._axis], 1),
                rotations.normalized(qpos[self._ball_q]),
                self._still,
            ]
        )[self._to_frames]
        quat = rotations.product(self._quat, own)
        pos = self._pos.at[self._root].set(qpos[:3])
        if self._anchored:  # what a joint turns about stays where it is
            pos += rotations.rotated(self._quat, self._anchor) - rotations.rotated(quat, self._anchor)
        parent = self._parent
        while parent.any():  # until all know their place in the world
            pos = pos[parent] + rotations.rotated(quat[parent], pos)
            quat = rotations.product(quat[parent], quat)
            parent = parent[parent]
        return pos, quat

    def motions(self, pos: jax.Array, quat: jax.Array, com: jax.Array) -> jax.Array:
        """Returns `Places.cdof` of what the call has given."""
        anchors = pos + rotations.rotated(quat, self._anchor) if self._anchored else pos
        bodies = np.concatenate([self._root, self._ball_body])
        axes = rotations.matrix(quat[bodies]).swapaxes(1, 2).reshape(-1, 3)  # of a frame as rows, root's first
        turning = jnp.concatenate([axes[:3], rotations.rotated(quat[self._hinges], self._axis), axes[3:]])
        frames = np.concatenate([self._root.repeat(3), self._hinges, self._balls.repeat(3)])
        turns = jnp.concatenate([turning, jnp.cross(turning, com - anchors[frames])], 1)
        return jnp.concatenate([jnp.eye(3, 6, 3), turns])[self._to_qvel]


def _times(inertia: jax.Array, motion: jax.Array) -> jax.Array:
    """Returns the momenta [n, 6] of inertias [n, 13] that move as [n, 6] says."""
    turning, sliding, arm = motion[:, :3], motion[:, 3:], inertia[:, 9:12]
    angular = jnp.einsum("nij,nj->ni", inertia[:, :9].reshape(-1, 3, 3), turning) + jnp.cross(arm, sliding)
    return jnp.concatenate([angular, inertia[:, 12:] * sliding - jnp.cross(arm, turning)], 1)


def _cross_motion(velocity: jax.Array, motion: jax.Array) -> jax.Array:
    """Returns how motions [n, 6] change as what they belong to moves with `velocity` [n, 6]."""
    turning = velocity[:, :3]
    sliding = jnp.cross(turning, motion[:, 3:]) + jnp.cross(velocity[:, 3:], motion[:, :3])
    return jnp.concatenate([jnp.cross(turning, motion[:, :3]), sliding], 1)


def _cross_force(velocity: jax.Array, force: jax.Array) -> jax.Array:
    """Returns how momenta [n, 6] change as what they belong to moves with `velocity` [n, 6]."""
    turning = velocity[:, :3]
    angular = jnp.cross(turning, force[:, :3]) + jnp.cross(velocity[:, 3:], force[:, 3:])
    return jnp.concatenate([angular, jnp.cross(turning, force[:, 3:])], 1)


def _is_below(m: mujoco.MjModel, body: int, other: int) -> bool:
    while body > other:
        body = int(m.body_parentid[body])
    return body == other


def _before(m: mujoco.MjModel) -> np.ndarray:
    """1 where a coordinate (column) moves what another one (row) turns in: float32 [nv, nv]."""
    found = np.zeros((m.nv, m.nv), np.float32)
    moved = moves(m)
    for dof in range(m.nv):
        body, first = int(m.dof_bodyid[dof]), int(m.jnt_dofadr[m.dof_jntid[dof]])
        found[dof] = moved[m.body_parentid[body]]
        found[dof, int(m.body_dofadr[body]) : first] = 1  # of its body's joints, those that come first
    found[3:ROOT, :3], found[:3] = 1, 0
    return found


def _constant(x: np.ndarray) -> jax.Array:
    return jnp.asarray(x, jnp.float32)
