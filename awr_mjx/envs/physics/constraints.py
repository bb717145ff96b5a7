"""Rows of MuJoCo's model of constraints (its documentation, "Computation"): how stiff they are, and joint limits."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

LEAST, MOST = 1e-4, 0.9999  # impedance: MuJoCo's mjMINIMP and mjMAXIMP
EDGES = 4  # of the pyramid that stands for a friction cone
UPRIGHT = 1e-10  # a capsule stands where the square of its axis' share along the floor is less


def unmet(m: mujoco.MjModel, floor: np.ndarray) -> list[str]:
    """What a model has that rows of hinge limits and of contacts with a plane are not enough for.

    Args:
      m: the model.
      floor: bool [ngeom], the geoms that are floor.
    """
    solimp = np.concatenate([m.jnt_solimp, m.geom_solimp])
    solref = np.concatenate([m.jnt_solref, m.geom_solref])
    found = {
        "equalities, tendons or friction losses": m.neq or m.ntendon or m.dof_frictionloss.any(),
        "a limited ball joint": (m.jnt_limited & (m.jnt_type == mujoco.mjtJoint.mjJNT_BALL)).any(),
        "geoms that meet on moving bodies": (m.geom_conaffinity[m.geom_bodyid > 0] != 0).any() or m.npair,
        "a floor that is not a plane": (m.geom_type[floor] != mujoco.mjtGeom.mjGEOM_PLANE).any(),
        "contacts of another dimension than 3": (m.geom_condim[floor] != 3).any() or (m.geom_condim > 3).any(),
        "elliptic friction cones": m.opt.cone != mujoco.mjtCone.mjCONE_PYRAMIDAL,
        "another solimp midpoint or power than 0.5, 2": (solimp[:, 3:] != (0.5, 2)).any(),
        "a solref that is not (time constant, damping ratio)": (solref <= 0).any(),
    }
    return [what for what, has in found.items() if has]


def impedance(
    timestep: float,
    solref: jax.Array,
    solimp: jax.Array,
    distance: jax.Array,
    inverse_weight: jax.Array,
    speed: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Returns (weight [n], target [n, k]) of n constraints of k rows of `speed` [n, k]; `distance` > 0 is free."""
    time = jnp.maximum(solref[:, 0], 2 * timestep)
    low, high = (jnp.clip(solimp[:, i], LEAST, MOST) for i in (0, 1))
    x = jnp.minimum(jnp.abs(distance) / solimp[:, 2], 1.0)
    stiff = low + jnp.where(x < 0.5, 2 * jnp.square(x), 1 - 2 * jnp.square(1 - x)) * (high - low)
    spring = stiff * distance / jnp.square(high * time * solref[:, 1])
    target = -(2 / (high * time))[:, None] * speed - spring[:, None]
    return jnp.where(distance < 0, stiff / ((1 - stiff) * inverse_weight), 0.0), target


def laid(axis: jax.Array, normal: jax.Array, capsule: jax.Array | np.ndarray, otherwise: jax.Array) -> jax.Array:
    """Returns unit vectors [n, 3] in the floor, along which friction pyramids have two of their edges: along capsules.

    A pyramid holds 1.4 times as much along its edges as between them. MuJoCo has them along a capsule however steep it
    is; MJX has them along the world's axes from 60 degrees on, and a gait that lives on that falls in MuJoCo.

    Args:
      axis: of the geoms, [n, 3].
      normal: of the floor, [n, 3] or [3].
      capsule: bool [n], which geoms are capsules.
      otherwise: what is returned for other geoms, and for a capsule that stands, [n, 3] or [3].
    """
    flat = axis - normal * (normal * axis).sum(-1, keepdims=True)
    square = jnp.square(flat).sum(-1, keepdims=True)
    lies = capsule[:, None] & (square > UPRIGHT)
    return jnp.where(lies, flat * jax.lax.rsqrt(jnp.where(lies, square, 1.0)), otherwise)


class Jointed(Protocol):
    """What is read of a model, MuJoCo's or MJX's; MJX takes seconds to import, and not every task needs it."""

    jnt_range: Any
    jnt_solref: Any
    jnt_solimp: Any
    jnt_margin: Any
    dof_invweight0: Any


class Limits:
    """The limits of a model's hinges: L rows, each on one coordinate.

    Attributes:
      dof: their joint coordinates, int [L].
    """

    def __init__(self, m: mujoco.MjModel) -> None:
        """Takes what does not change from the model."""
        self._timestep = float(m.opt.timestep)
        self._limited = np.flatnonzero(m.jnt_limited)
        self.dof, self._qpos = m.jnt_dofadr[self._limited], m.jnt_qposadr[self._limited]
        self._limit_of = np.full(m.nv, len(self._limited))  # of a joint coordinate; past the last where it has none
        self._limit_of[self.dof] = np.arange(len(self._limited))

    def rows(self, model: Jointed, qpos: jax.Array, qvel: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns (sign [L], weight [L], target [L, 1]); a sign is 1 where the joint is nearer to its lower limit."""
        limits, joints = self._limited, qpos[self._qpos]
        below, above = joints - model.jnt_range[limits, 0], model.jnt_range[limits, 1] - joints
        sign = jnp.where(below < above, 1.0, -1.0)
        weight, target = impedance(
            self._timestep,
            model.jnt_solref[limits],
            model.jnt_solimp[limits],
            jnp.minimum(below, above) - model.jnt_margin[limits],
            model.dof_invweight0[self.dof],
            (sign * qvel[self.dof])[:, None],
        )
        return sign, weight, target

    def spread(self, x: jax.Array) -> jax.Array:
        """Returns [nv] with `x` [L] at the limited coordinates; a gather, which CPUs do faster than a scatter."""
        return jnp.pad(x, (0, 1))[self._limit_of]


def moves(m: mujoco.MjModel) -> np.ndarray:
    """1 where a joint coordinate moves a body: float32 [nbody, nv]."""
    found = np.zeros((m.nbody, m.nv), np.float32)
    for body in range(1, m.nbody):
        first, count = m.body_dofadr[body], m.body_dofnum[body]
        found[body] = found[m.body_parentid[body]]
        if count:
            found[body, first : first + count] = 1
    return found
