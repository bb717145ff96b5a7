"""Linear equations of a robot's joint coordinates: `LimbSolver`, for matrices in which no two limbs meet."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np


@dataclasses.dataclass(frozen=True)
class Limbs:
    """A robot's joint coordinates by what hangs on its trunk.

    Attributes:
      trunk: its coordinates, int [T].
      limbs: those of each limb, int [n_i], by rising size and then number.
      bodies: which limb each body belongs to, int [nbody]; -1 for the world and the trunk's.
    """

    trunk: np.ndarray
    limbs: tuple[np.ndarray, ...]
    bodies: np.ndarray


def limbs(mj_model: mujoco.MjModel, trunk: Sequence[int] = ()) -> Limbs:
    """Finds what hangs on the bodies of the `trunk`; by default that is the first that moves.

    Raises:
      NotImplementedError: if more than one body hangs on the world, or the trunk is not in one piece.
    """
    m = mj_model
    first = np.flatnonzero((m.body_parentid == 0) & (m.body_weldid != 0))
    if len(first) != 1:
        raise NotImplementedError(f"LimbSolver: {len(first)} moving bodies on the world, not 1")
    inner = {int(first[0]), *trunk}
    apart = [body for body in inner - {int(first[0])} if int(m.body_parentid[body]) not in inner]
    if apart:
        raise NotImplementedError(f"LimbSolver: body {apart[0]} does not hang on the rest of the trunk")
    limb = np.full(m.nbody, -1)  # the limb's first body, for each body
    for body in range(int(first[0]) + 1, m.nbody):
        parent = int(m.body_parentid[body])
        if body not in inner and parent > 0:
            limb[body] = body if parent in inner else limb[parent]
    of_dof = limb[m.dof_bodyid]
    roots = [root for root in np.unique(limb[limb >= 0]) if (of_dof == root).any()]
    roots.sort(key=lambda root: (of_dof == root).sum())  # a stable sort, so those of equal size stay in order
    number = {int(root): i for i, root in enumerate(roots)}
    return Limbs(
        trunk=np.flatnonzero(of_dof < 0),
        limbs=tuple(np.flatnonzero(of_dof == root) for root in roots),
        bodies=np.array([number.get(int(root), -1) for root in limb]),
    )


@dataclasses.dataclass(frozen=True)
class Blocks:
    """A positive definite matrix by trunk and limbs; those of equal size are stacked, in the order of `Limbs.limbs`.

    Attributes:
      trunk: float32 [T, T].
      inner: float32 [n, s, s] for each size of limbs s.
      outer: float32 [n, s, T] for each size of limbs, rows of the limb and columns of the trunk.
    """

    trunk: jax.Array
    inner: tuple[jax.Array, ...]
    outer: tuple[jax.Array, ...]


jax.tree_util.register_dataclass(Blocks, ("trunk", "inner", "outer"), ())


class LimbSolver:
    """Solves H x = y for positive definite H that couples joint coordinates of different limbs only through the trunk.

    So do the inertia and whatever forces of the world on single bodies add to it. Limbs are what hangs on the trunk;
    they are eliminated first, those of equal size together. On CPUs that is faster than LAPACK, which XLA calls for one
    environment after the other.

    Attributes:
      limbs: the coordinates, by trunk and limbs.
      groups: limbs of equal size, coordinates int [n, s] for each size.
    """

    def __init__(self, mj_model: mujoco.MjModel, trunk: Sequence[int] = ()) -> None:
        """Finds the limbs that hang on the bodies of the `trunk`, by default on the first body that moves.

        Raises:
          NotImplementedError: if more than one body hangs on the world, or the trunk is not in one piece.
        """
        self.limbs = limbs(mj_model, trunk)
        sizes = sorted({len(dofs) for dofs in self.limbs.limbs})
        self.groups = [np.stack([dofs for dofs in self.limbs.limbs if len(dofs) == size]) for size in sizes]
        order = np.concatenate([self.limbs.trunk, *(group.reshape(-1) for group in self.groups)])
        self._back = np.argsort(order)  # from trunk and groups to the model's order
        joint = mj_model.dof_jntid  # where two coordinates are of one joint, by trunk and groups
        self._same = [
            (joint[dofs][..., None] == joint[dofs][..., None, :]).astype(np.float32)
            for dofs in (self.limbs.trunk, *self.groups)
        ]
        self._in_order = (self._back == np.arange(len(order))).all()

    def __call__(self, matrix: jax.Array, vector: jax.Array) -> jax.Array:
        """Returns x [nv] of `matrix` [nv, nv] and `vector` [nv]."""
        return self.solve(self.blocks(matrix), vector)

    def blocks(self, matrix: jax.Array) -> Blocks:
        """Returns the parts of `matrix` [nv, nv] is in trunk and limbs."""
        trunk = self.limbs.trunk
        return Blocks(
            trunk=_part(matrix, trunk, trunk),
            inner=tuple(jnp.stack([_part(matrix, dofs, dofs) for dofs in group]) for group in self.groups),
            outer=tuple(jnp.stack([_part(matrix, dofs, trunk) for dofs in group]) for group in self.groups),
        )

    def split(self, vector: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        """Returns the trunk's part [T] of `vector` [nv], and that of each group of limbs [n, s]."""
        groups = [jnp.stack([_run(vector, dofs) for dofs in group]) for group in self.groups]
        return _run(vector, self.limbs.trunk), groups

    def joined(self, trunk: jax.Array, groups: Sequence[jax.Array]) -> jax.Array:
        """Returns the vector [nv] whose parts these are: what `split` gives."""
        found = jnp.concatenate([trunk, *(group.reshape(-1) for group in groups)])
        return found if self._in_order else found[self._back]

    def plus(self, blocks: Blocks, diagonal: jax.Array | np.ndarray) -> Blocks:
        """Returns the matrix with `diagonal` [nv] added."""
        trunk, limbs = self.split(jnp.asarray(diagonal))
        inner = tuple(x + own[:, :, None] * jnp.eye(own.shape[1]) for x, own in zip(blocks.inner, limbs, strict=True))
        return Blocks(blocks.trunk + jnp.diag(trunk), inner, blocks.outer)

    def less(self, blocks: Blocks, vector: jax.Array) -> Blocks:
        """Returns the matrix less the products of each joint's part of `vector` [nv] with itself."""
        trunk, limbs = self.split(vector)
        mask, *masks = self._same
        inner = tuple(
            x - same * own[:, :, None] * own[:, None] for x, same, own in zip(blocks.inner, masks, limbs, strict=True)
        )
        return Blocks(blocks.trunk - mask * trunk[:, None] * trunk, inner, blocks.outer)

    def solve(self, blocks: Blocks, vector: jax.Array) -> jax.Array:
        """Returns x [nv] of a matrix in `blocks` and `vector` [nv]."""
        right, rights = self.split(vector)
        size = len(right)
        left = jnp.concatenate([blocks.trunk, right[:, None]], axis=1)  # the trunk's equations
        limbs = []  # for each size, the limbs' coordinates as (factors of the trunk's, constants)
        for inner, beside, own in zip(blocks.inner, blocks.outer, rights, strict=True):
            outer = jnp.concatenate([beside, own[:, :, None]], axis=2)
            solved = jax.vmap(_eliminate)(inner, outer)
            left -= jnp.einsum("nlt,nlk->tk", beside, solved)
            limbs.append(solved)
        x = _eliminate(left[:, :size], left[:, size:])[:, 0]
        return self.joined(x, [solved[:, :, size] - solved[:, :, :size] @ x for solved in limbs])


def _run(vector: jax.Array, dofs: np.ndarray) -> jax.Array:
    """Returns `vector[dofs]`; a slice where that is enough, which is faster."""
    if len(dofs) and (np.diff(dofs) == 1).all():
        return vector[dofs[0] : dofs[-1] + 1]
    return vector[dofs]


def _part(matrix: jax.Array, rows: np.ndarray, columns: np.ndarray) -> jax.Array:
    return _run(_run(matrix, rows).T, columns).T


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
