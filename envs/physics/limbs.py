"""Linear equations of a robot's joint coordinates: `LimbSolver`, for matrices in which no two limbs meet."""

import itertools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np


class LimbSolver:
    """Solves H x = y for positive definite H that couples joint coordinates of different limbs only through the trunk.

    So do the inertia and whatever forces of the world on single bodies add to it. Limbs are what hangs on the trunk,
    the first body that moves; they are eliminated first, those of equal size together. On CPUs that is faster than
    LAPACK, which XLA calls for one environment after the other.
    """

    def __init__(self, mj_model: mujoco.MjModel) -> None:
        """Finds the trunk and the limbs.

        Raises:
          NotImplementedError: if more than one body hangs on the world, or the trunk does not move.
        """
        trunks = np.flatnonzero((mj_model.body_parentid == 0) & (mj_model.body_weldid != 0))
        if len(trunks) != 1:
            raise NotImplementedError(f"LimbSolver: {len(trunks)} moving bodies on the world, not 1")
        self._trunk = int(mj_model.body_dofnum[trunks[0]])
        limb = np.zeros(mj_model.nbody, int)  # the limb's first body, for each body
        for body in range(trunks[0] + 1, mj_model.nbody):
            parent = mj_model.body_parentid[body]
            limb[body] = limb[parent] or (body if parent == trunks[0] else 0)
        of_dof = limb[mj_model.dof_bodyid[self._trunk :]]  # MuJoCo numbers a limb's coordinates in a row
        sizes = [len(list(same)) for _, same in itertools.groupby(of_dof)]
        firsts = self._trunk + np.cumsum([0, *sizes[:-1]])
        # size of limbs -> the first coordinates of those
        self._limbs = {size: [int(f) for f, s in zip(firsts, sizes, strict=True) if s == size] for size in set(sizes)}

    def __call__(self, matrix: jax.Array, vector: jax.Array) -> jax.Array:
        """Returns x [nv] of `matrix` [nv, nv] and `vector` [nv]."""
        trunk = self._trunk
        left = jnp.concatenate([matrix[:trunk, :trunk], vector[:trunk, None]], axis=1)  # the trunk's equations
        limbs = []  # (first coordinate, its limb's coordinates as (constants, factors of the trunk's))
        for size, firsts in self._limbs.items():
            rows = [slice(first, first + size) for first in firsts]
            inner = jnp.stack([matrix[row, row] for row in rows])
            outer = jnp.stack([jnp.concatenate([matrix[row, :trunk], vector[row, None]], axis=1) for row in rows])
            solved = jax.vmap(_eliminate)(inner, outer)
            left -= jnp.einsum("nlt,nlk->tk", outer[:, :, :trunk], solved)
            limbs += [(first, solved[i]) for i, first in enumerate(firsts)]
        x = _eliminate(left[:, :trunk], left[:, trunk:])[:, 0]
        parts = [solved[:, trunk] - solved[:, :trunk] @ x for _, solved in sorted(limbs, key=lambda pair: pair[0])]
        return jnp.concatenate([x, *parts])


def _eliminate(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Returns X [n, k] with matrix [n, n] X = right [n, k]; no pivots, as `matrix` is positive definite."""
    size = len(matrix)
    rest, rows = jnp.concatenate([matrix, right], axis=1), []
    for _ in range(size):
        row = rest[0, 1:] / rest[0, 0]
        rows.append(row)
        rest = rest[1:, 1:] - rest[1:, :1] * row
    found = jnp.zeros((0, right.shape[1]), matrix.dtype)
    for row in reversed(rows):
        unknowns = len(found)
        found = jnp.concatenate([(row[unknowns:] - row[:unknowns] @ found)[None], found])
    return found
