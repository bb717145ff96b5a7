"""Contacts of a robot's limbs with the floor, limb by limb: each moves with its own limb and the trunk alone."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from awr_mjx.envs.physics.constraints import EDGES, impedance, laid, moves
from awr_mjx.envs.physics.ground import CAPSULE, Ground, ground
from awr_mjx.envs.physics.limbs import Blocks, LimbSolver
from awr_mjx.envs.physics.tree import Places


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


class Edges:
    """The rows of contacts in one state: EDGES for each point, E in all.

    Attributes:
      weight: float32 [E], 1 / regularisation; 0 where nothing touches.
      target: float32 [E], the acceleration along the row that would let it give way as it should.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        linear: LimbSolver,
        moved: Sequence[tuple[jax.Array, jax.Array]],
        weight: jax.Array,
        target: jax.Array,
    ) -> None:
        """Takes, for each part, how its edges move with a limb [n, 4 c, s] and with the trunk [n, 4 c, T]."""
        self._parts, self._linear, self._moved = parts, linear, moved
        self.weight, self.target = weight, target

    def along(self, acceleration: jax.Array) -> jax.Array:
        """Returns the accelerations [E] along the rows of joint coordinates' accelerations [nv]."""
        of_trunk, of_limbs = self._linear.split(acceleration)
        found = [jnp.zeros(0)]
        for part, (inner, outer) in zip(self._parts, self._moved, strict=True):
            row = outer @ of_trunk
            if part.group is not None:
                row += jnp.einsum("nes,ns->ne", inner, of_limbs[part.group])
            found.append(row.reshape(-1))
        return jnp.concatenate(found)

    def back(self, force: jax.Array) -> jax.Array:
        """Returns the forces [nv] on joint coordinates of forces [E] along the rows."""
        of_trunk = jnp.zeros(len(self._linear.limbs.trunk))
        of_limbs = [jnp.zeros(group.shape) for group in self._linear.groups]
        for part, (inner, outer), own in zip(self._parts, self._moved, self._by_part(force), strict=True):
            of_trunk += jnp.einsum("ne,net->t", own, outer)
            if part.group is not None:
                of_limbs[part.group] += jnp.einsum("ne,nes->ns", own, inner)
        return self._linear.joined(of_trunk, of_limbs)

    def added(self, blocks: Blocks, stiffness: jax.Array) -> Blocks:
        """Returns a matrix with J' diag(stiffness) J added, where J are the rows and `stiffness` is [E]."""
        core, inners, outers = blocks.trunk, list(blocks.inner), list(blocks.outer)
        for part, (inner, outer), own in zip(self._parts, self._moved, self._by_part(stiffness), strict=True):
            core += jnp.einsum("net,neu->tu", outer * own[:, :, None], outer)
            if part.group is not None:
                weighted = inner * own[:, :, None]
                inners[part.group] += jnp.einsum("nes,neu->nsu", weighted, inner)
                outers[part.group] += jnp.einsum("nes,net->nst", weighted, outer)
        return Blocks(core, tuple(inners), tuple(outers))

    def _by_part(self, rows: jax.Array) -> list[jax.Array]:
        shapes = [outer.shape[:2] for _, outer in self._moved]
        ends = np.cumsum([n * e for n, e in shapes]).tolist()
        return [rows[end - n * e : end].reshape(n, e) for end, (n, e) in zip(ends, shapes, strict=True)]


class FloorContacts:
    """The contacts of some geoms with the one floor of a model, a plane at height 0."""

    def __init__(self, m: mujoco.MjModel, touching: Sequence[int], linear: LimbSolver) -> None:
        """Takes what does not change: the geoms that touch the floor, and the limbs.

        Raises:
          NotImplementedError: if there is not one floor, or a geom is neither a sphere, a capsule nor a box.
        """
        floors = np.flatnonzero((m.geom_bodyid == 0) & (m.geom_conaffinity != 0))
        if len(floors) != 1:
            raise NotImplementedError(f"there are {len(floors)} floors, not 1")
        self._linear, self._ground, self._timestep = linear, ground(m, touching), float(m.opt.timestep)
        self._parts = _parts(m, self._ground, linear)
        self._capsule = np.append(m.geom_type[self._ground.geoms] == CAPSULE, False)
        friction, solref, solimp = _mixed(m, self._ground.geoms, int(floors[0]))
        square = np.square(friction)
        inverse = m.body_invweight0[m.geom_bodyid[self._ground.geoms], 0] * (1 + square) * 2 * square / m.opt.impratio
        # One more stands for no point.
        self._friction, self._solref, self._solimp, self._inverse_weight = (
            np.concatenate([x, np.ones((1, *x.shape[1:]))]).astype(np.float32)
            for x in (friction, solref, solimp, inverse)
        )

    def edges(self, places: Places, qvel: jax.Array) -> Edges:
        """Returns the rows of a robot that is at `places`, at velocities [nv]."""
        height, place = self._ground.points(places.geom_xpos, places.geom_xmat)
        arm = jnp.pad(place - places.com, ((0, 1), (0, 0)))
        along = self._along(places.geom_xmat)
        height = jnp.pad(height, (0, 1), constant_values=1.0)
        trunk, of_limbs = self._linear.split(qvel)
        moved, weights, targets = [], [jnp.zeros(0)], [jnp.zeros(0)]
        for part in self._parts:
            at, friction = part.points, self._friction[part.points]
            outer = _edges(places.cdof, arm[at], along[at], self._linear.limbs.trunk[None], part.outer, friction)
            speed = outer @ trunk
            inner = jnp.zeros((*outer.shape[:2], 0))
            if part.group is not None:
                limbs = self._linear.groups[part.group]
                inner = _edges(places.cdof, arm[at], along[at], limbs, part.inner, friction)
                speed += jnp.einsum("nes,ns->ne", inner, of_limbs[part.group])
            flat = at.reshape(-1)
            weight, target = impedance(
                self._timestep,
                jnp.asarray(self._solref[flat]),
                jnp.asarray(self._solimp[flat]),
                height[flat],
                jnp.asarray(self._inverse_weight[flat]),
                speed.reshape(-1, EDGES),
            )
            moved.append((inner, outer))
            weights.append(jnp.repeat(weight, EDGES))
            targets.append(target.reshape(-1))
        return Edges(self._parts, self._linear, moved, jnp.concatenate(weights), jnp.concatenate(targets))

    def _along(self, geom_xmat: jax.Array) -> jax.Array:
        """Returns the directions along the floor [P + 1, 2] that friction pyramids have edges in."""
        axis = geom_xmat.reshape(-1, 3, 3)[np.append(self._ground.geoms, 0), :, 2]
        return laid(axis, jnp.array([0.0, 0.0, 1.0]), self._capsule, jnp.array([0.0, 1.0, 0.0]))[:, :2]


def _edges(
    cdof: jax.Array, arm: jax.Array, along: jax.Array, dofs: np.ndarray, moved: np.ndarray, friction: np.ndarray
) -> jax.Array:
    """Returns how fast each edge of points moves, [n, 4 c, s], by the velocity of coordinates `dofs` [n, s].

    `arm` [n, c, 3] is from the centre of mass to the points, `along` [n, c, 2] the direction of one pair of edges along
    the floor, `moved` [n, c, s] whether a coordinate moves them.
    """
    turning, sliding = cdof[dofs][:, None, :, :3], cdof[dofs][:, None, :, 3:]
    point = (sliding + jnp.cross(turning, arm[:, :, None])) * moved[..., None]  # [n, c, s, 3]
    x, y, up = jnp.moveaxis(point, -1, 0)
    cos, sin = jnp.moveaxis(along[:, :, None], -1, 0)
    first, second = friction[:, :, None] * (cos * x + sin * y), friction[:, :, None] * (sin * x - cos * y)
    edges = jnp.stack([up + first, up - first, up + second, up - second], 2)
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


def _mixed(m: mujoco.MjModel, geoms: np.ndarray, floor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
