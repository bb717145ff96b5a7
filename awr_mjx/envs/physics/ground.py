"""Where a robot's geoms are nearest to a floor at height 0, in closed form: no collision program, and fixed places.

A sphere has one such point, a capsule two, and a box four: of each pair of opposite corners the lower one, which are
those that MuJoCo lets touch a plane.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

SPHERE, CAPSULE, BOX = (int(getattr(mujoco.mjtGeom, f"mjGEOM_{kind}")) for kind in ("SPHERE", "CAPSULE", "BOX"))
POINTS = {SPHERE: 1, CAPSULE: 2, BOX: 4}
CORNERS = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)], np.float32)  # one of each opposite pair


@dataclasses.dataclass(frozen=True)
class Ground:
    """The points of some geoms that may touch the floor; P of them.

    Attributes:
      geoms: int [P], the geom of each point.
      offset: float32 [P, 3], where it is in its geom's frame, before the radius: a capsule's end, a box's corner.
      radius: float32 [P], of spheres and capsules; 0 for a box.
      mirrored: bool [P], whether the opposite point takes its place where that is lower.
    """

    geoms: np.ndarray
    offset: np.ndarray
    radius: np.ndarray
    mirrored: np.ndarray

    def points(self, geom_xpos: jax.Array, geom_xmat: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the lowest points.

        Args:
          geom_xpos: of all geoms, float32 [ngeom, 3] (m).
          geom_xmat: their axes, float32 [ngeom, 3, 3].

        Returns:
          Heights float32 [P] (m), below 0 where a point is under the floor, and places float32 [P, 3] halfway between
          the point and the floor, where MuJoCo has a contact act.
        """
        centre, axes = geom_xpos[self.geoms], geom_xmat.reshape(-1, 3, 3)[self.geoms]
        arm = jnp.einsum("pij,pj->pi", axes, self.offset)
        arm = jnp.where((self.mirrored & (arm[:, 2] > 0))[:, None], -arm, arm)
        place = centre + arm
        height = place[:, 2] - self.radius
        return height, place.at[:, 2].set(height / 2)

    def heights(self, geom_xpos: np.ndarray, geom_xmat: np.ndarray) -> np.ndarray:
        """The heights [P] that `points` gives, in NumPy; float64 `geom_xpos` [ngeom, 3] and `geom_xmat` [ngeom, 9]."""
        up = np.einsum("pj,pj->p", geom_xmat.reshape(-1, 3, 3)[self.geoms, 2], self.offset)
        up = np.where(self.mirrored, -np.abs(up), up)
        return np.asarray(geom_xpos[self.geoms, 2] + up - self.radius)


def ground(mj_model: mujoco.MjModel, geoms: Sequence[int]) -> Ground:
    """The points of `geoms`: spheres, capsules and boxes.

    Raises:
      NotImplementedError: for a geom of another shape.
    """
    parts: list[tuple[int, np.ndarray, float, bool]] = []
    for geom in geoms:
        kind, size = int(mj_model.geom_type[geom]), np.asarray(mj_model.geom_size[geom], np.float32)
        if kind == BOX:
            parts += [(geom, corner * size, 0.0, True) for corner in CORNERS]
        elif kind == CAPSULE:
            parts += [(geom, np.array([0, 0, side * size[1]]), size[0], False) for side in (1, -1)]
        elif kind == SPHERE:
            parts.append((geom, np.zeros(3), size[0], False))
        else:
            name = mj_model.geom(geom).name or f"number {geom}"
            raise NotImplementedError(f"geom {name} is neither a sphere, a capsule nor a box")
    return Ground(
        geoms=np.array([part[0] for part in parts], int),
        offset=np.array([part[1] for part in parts], np.float32).reshape(-1, 3),
        radius=np.array([part[2] for part in parts], np.float32),
        mirrored=np.array([part[3] for part in parts], bool),
    )
