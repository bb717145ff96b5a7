"""What the live page of a task that imitates clips has: a ghost that does what is imitated, and a way into a clip."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np

from awr_mjx.train.pictures.painters import GHOST

GROUPS = 3  # of geoms, from the first on, that are shown
STEP = 0.01  # s, of the slider


class Ghost:
    """The moving bodies of a model, translucent, in a `viser` scene."""

    def __init__(self, server: Any, model: mujoco.MjModel, frame: str) -> None:
        """Puts it at `frame` of the scene, whose parent has its origin where the world has its own."""
        from mjviser.conversions import is_fixed_body, merge_geoms

        self._server, self._model, self._data = server, model, mujoco.MjData(model)
        self._parts: list[tuple[int, Any]] = []
        colour, seen = (
            tuple(round(255 * x) for x in GHOST[:3]),
            (model.geom_rgba[:, 3] > 0) & (model.geom_group < GROUPS),
        )
        for body in range(1, model.nbody):
            geoms = np.flatnonzero(seen & (model.geom_bodyid == body)).tolist()
            if geoms and not is_fixed_body(model, body):
                mesh, name = merge_geoms(model, geoms), f"{frame}/{body}"
                looks = {"color": colour, "opacity": GHOST[3], "cast_shadow": False, "receive_shadow": False}
                self._parts.append((body, server.scene.add_mesh_simple(name, mesh.vertices, mesh.faces, **looks)))

    def show(self, pose: np.ndarray, place: np.ndarray) -> None:
        """Puts it in a pose, float64 [nq] (m, rad), of a robot that stands at `place`, float64 [3] (m)."""
        self._data.qpos[:] = pose
        mujoco.mj_kinematics(self._model, self._data)
        with self._server.atomic():
            for body, part in self._parts:
                part.position, part.wxyz = self._data.xpos[body] + place, self._data.xquat[body].copy()


class Places:
    """A slider for the place in a clip where an episode is to begin, and, of several clips, a choice of one."""

    def __init__(
        self, gui: Any, seconds: Sequence[float], names: Sequence[str], begin: Callable[[int, float], None]
    ) -> None:
        """Adds them to a `viser` GUI.

        Args:
          gui: the GUI.
          seconds: how far into each clip an episode can begin.
          names: what the clips are called, if they have names.
          begin: what to do with the number of a clip and seconds into it, when they are chosen.
        """
        # Rounded down: a slider goes from step to step.
        self._longest = [max(STEP, math.floor(length / STEP) * STEP) for length in seconds]
        called = names if len(names) == len(seconds) else ["clip"] * len(seconds)
        self._options, self._begin = [f"{i} {name}" for i, name in enumerate(called, 1)], begin
        with gui.add_folder("Begin in the clip"):
            if len(seconds) > 1:
                self.clip = gui.add_dropdown("Clip", self._options, initial_value=self._options[0])
                self.clip.on_update(lambda _: self._choose())
            self.place = gui.add_slider("s", min=0.0, max=self._longest[0], step=STEP, initial_value=0.0)
            self.place.on_update(lambda _: self._go())

    def _number(self) -> int:
        return self._options.index(self.clip.value) if len(self._options) > 1 else 0

    def _choose(self) -> None:
        longest = self._longest[self._number()]
        self.place.value, self.place.max = min(self.place.value, longest), longest
        self._go()

    def _go(self) -> None:
        self._begin(self._number(), float(self.place.value))
