"""What the live page shows the robot by: MuJoCo's bodies in a scene, or the picture that the task draws itself."""

import copy
import time
import warnings
from typing import Any, Protocol

import numpy as np

from awr_mjx.envs import drawing
from awr_mjx.train.pictures.live import Shown
from awr_mjx.train.pictures.painters import own_picture

LARGEST = 1280  # pixels, of a task's own picture
PUSHED = 1.0  # s for which the arrow of a push is to be seen
SKY = 256, 70  # rows of its picture, and down to which of them it grows pale
CELLS, SECTIONS = (104, 120, 136), (122, 137, 152)  # lines on the floor


class View(Protocol):
    """What draws robots for a page."""

    @property
    def followed(self) -> int:
        """Which of them the camera goes after."""
        ...

    def controls(self) -> None:
        """Puts what can be chosen about it on the page."""
        ...

    def show(self, shown: list[Shown]) -> None:
        """Shows a moment of each of the robots."""
        ...

    def pushed(self, velocity: tuple[float, float, float]) -> None:
        """Marks a push by `velocity` (m/s, world axes)."""
        ...


class Bodies:
    """The bodies of robots of one MuJoCo model on one floor, translucent ones of what they imitate, and pushes."""

    def __init__(self, server: Any, env: Any, count: int, ghosts: bool) -> None:
        """Puts `count` robots of the task `env` into the scene of a `viser` server."""
        import mujoco
        from mjviser import ViserMujocoScene

        from awr_mjx.train.pictures.clip_page import Ghost
        from awr_mjx.train.pictures.stage import places

        self._server, self._model = server, copy.deepcopy(env.mj_model)  # the scene changes its colours
        self._data = mujoco.MjData(self._model)
        self._places, self._kinematics = places(self._model, count), mujoco.mj_kinematics
        self.scene = ViserMujocoScene(server, self._model, num_envs=count)
        _light(server, self._model)
        self._away = np.linalg.norm(self._places, axis=1)  # m, from the middle of all
        self.scene.env_idx = int(np.argmin(self._away))
        frame = self.scene.fixed_bodies_frame.name
        self._ghosts = [Ghost(server, self._model, f"{frame}/ghost/{i}") for i in range(count if ghosts else 0)]
        self._arrow: Any = None
        self._arrow_frame, self._until = f"{frame}/push", 0.0

    @property
    def followed(self) -> int:
        """Which robot the camera goes after."""
        return int(self.scene.env_idx)

    def controls(self) -> None:
        """Adds the camera's."""
        with self._server.gui.add_folder("Camera", expand_by_default=False):
            self.scene.create_scene_gui(2.3 * self._model.stat.extent + float(self._away.max()))

    def show(self, shown: list[Shown]) -> None:
        """Shows a moment of each of the robots."""
        positions, turns = [], []
        for moment, place in zip(shown, self._places, strict=True):
            self._data.qpos[:] = moment.pose
            self._kinematics(self._model, self._data)
            moved = self._model.body_weldid > 0
            positions.append(self._data.xpos + moved[:, None] * place)
            turns.append(self._data.xmat.reshape(-1, 3, 3).copy())
        self.scene.update_from_arrays(np.stack(positions), np.stack(turns))
        for ghost, moment, place in zip(self._ghosts, shown, self._places, strict=False):
            if moment.ghost is not None:
                ghost.show(moment.ghost, place)
        if self._arrow:
            self._arrow.position = positions[self.followed][1]
            if time.monotonic() > self._until:
                self._arrow.remove()
                self._arrow = None

    def pushed(self, velocity: tuple[float, float, float]) -> None:
        """Shows an arrow that ends at the body of the robot that the camera follows, the longer the harder the push."""
        strength = float(np.linalg.norm(velocity))
        ahead = np.array(velocity) / strength
        tip = -0.3 * ahead
        points = np.array([[tip - (0.25 + 0.25 * strength) * ahead, tip]])
        looks = {"shaft_radius": 0.03, "head_radius": 0.08, "head_length": 0.16}
        self._arrow = self._server.scene.add_arrows(self._arrow_frame, points, drawing.ARROW, **looks)
        self._until = time.monotonic() + PUSHED


def _light(server: Any, model: Any) -> None:
    """Gives a scene of a `viser` server the sky, floor and light of films; the floor fades into the sky."""
    import mujoco
    from mjviser.conversions import get_body_name

    server.scene.set_background_image(drawing.gradient(*SKY).repeat(4, 1))
    server.scene.configure_environment_map(environment_intensity=0.25)
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE):
        body, name = get_body_name(model, model.geom_bodyid[geom]), model.geom(geom).name or None
        server.scene.add_grid(  # in the place of the one that is there
            f"/fixed_bodies/{body}/{name}",
            infinite_grid=True,
            cell_color=CELLS,
            section_color=SECTIONS,
            plane_color=drawing.FLOOR,
            plane_opacity=1.0,
            shadow_opacity=0.4,
            fade_distance=60.0,
            position=model.geom_pos[geom],
            wxyz=model.geom_quat[geom],
        )


class Picture:
    """The picture that a task draws itself, behind an empty scene, as large as each browser's window."""

    followed = 0  # there is but one

    def __init__(self, server: Any, env: Any) -> None:
        """It is shown to the clients of a `viser` server."""
        # Whoever closes the page while its picture is drawn.
        warnings.filterwarnings("ignore", "Queued a BackgroundImageMessage on a closed connection")
        self._server, self._env = server, env
        self._seen: dict[int, tuple[Shown, tuple[int, int]]] = {}

    def controls(self) -> None:
        """There is no camera."""

    def show(self, shown: list[Shown]) -> None:
        """Sends the picture to whoever has not seen it yet."""
        clients, drawn = self._server.get_clients(), dict[tuple[int, int], np.ndarray]()
        for number, client in clients.items():
            size = _within(client.camera.image_width, client.camera.image_height)
            before = self._seen.get(number)
            if min(size) < 1 or (before and before[0] is shown[0] and before[1] == size):
                continue
            if size not in drawn:
                drawn[size] = own_picture(self._env, shown[0], *size)
            client.scene.set_background_image(drawn[size], format="jpeg", jpeg_quality=90)
            self._seen[number] = (shown[0], size)
        self._seen = {number: seen for number, seen in self._seen.items() if number in clients}

    def pushed(self, velocity: tuple[float, float, float]) -> None:
        """The task draws what it likes."""


def _within(width: int, height: int) -> tuple[int, int]:
    """A window's width and height (pixels), or if that is large, those of a picture of its shape."""
    share = min(1.0, LARGEST / max(width, height, 1))
    return round(share * width), round(share * height)


def view_of(server: Any, env: Any, count: int, ghosts: bool) -> View:
    """What shows `count` robots of a task on a `viser` server, with their `ghosts` if they imitate something."""
    return Picture(server, env) if hasattr(env, "picture") else Bodies(server, env, count, ghosts)
