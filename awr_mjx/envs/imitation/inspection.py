"""What is to be known of a clip before a robot imitates it, in figures; nothing here is moved by forces."""

import copy
import dataclasses
from typing import Any

import mujoco
import numpy as np

from awr_mjx.envs.imitation import reference
from awr_mjx.envs.imitation.characters import HINGE, Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.physics.ground import BOX, SPHERE

BEYOND = 1e-3  # rad: an angle so little beyond its limit is at it, as clips in text are rounded
EXACT = 1e-9  # rad: less is a matter of how numbers are rounded
NEAR = 0.01  # m above the lowest level: a point there stands
LOWEST = 0.05  # the share of the frames that are below that level, or one that dips would make it
JUMP_ANGLE, JUMP_PLACE = 0.3, 0.1  # rad and m from a frame to the next are a jump, if they are also
JUMP_TIMES = 6.0  # as many times what is usual around them


@dataclasses.dataclass(frozen=True)
class Inspection:
    """The figures of a clip of a robot. Where nothing is to be found, a figure is 0 and a name is empty.

    Attributes:
      frames: how many.
      fps: frames per second.
      seconds: from the first frame to the last.
      loop: whether it is one.
      beyond: frames in which a joint is beyond its limits.
      beyond_most: by how much at most (rad).
      beyond_joint: which joint is.
      lowest: height of the robot's lowest point over all frames (m); 0 is the floor's.
      lowest_median: the median over the frames of the height of the lowest point (m).
      touching: names of the bodies that may touch the floor, as a task decides (`reference.build`).
      fallen: frames in which it lies on a body that may not touch the floor (`reference.standing`): each is a fall.
      fallen_body: on which, mostly.
      slide: largest horizontal speed (m/s) of a point of such bodies, from a frame to the next, that is within 1 cm of
        the clip's own lowest level.
      slide_body: whose it is; empty if none is ever there.
      slide_frame: in which frame.
      seam_angle: of a loop, the largest difference of a joint in the last and the first frame (rad).
      seam_joint: which joint's.
      seam_height: of a loop, by how much the root is higher in the last frame than in the first (m).
      seam_tilt: of a loop, by how much the root is turned between them (rad), apart from the heading.
      seam_turn: of a loop, by how much the heading is (rad), which the next cycle takes over.
      fastest: largest speed of a joint (rad/s).
      fastest_joint: which joint's.
      jumps: frames that do not follow from the one before: something moves far in one step, and not around it.
      overlap: how much deeper two bodies are inside each other at most (m) than in the robot's own pose, `qpos0`; of
        those of which neither hangs on the other.
      overlap_bodies: which two.
      overlap_frame: in which frame.
    """

    frames: int
    fps: float
    seconds: float
    loop: bool
    beyond: int
    beyond_most: float
    beyond_joint: str
    lowest: float
    lowest_median: float
    touching: tuple[str, ...]
    fallen: int
    fallen_body: str
    slide: float
    slide_body: str
    slide_frame: int
    seam_angle: float
    seam_joint: str
    seam_height: float
    seam_tilt: float
    seam_turn: float
    fastest: float
    fastest_joint: str
    jumps: tuple[int, ...]
    overlap: float
    overlap_bodies: tuple[str, ...]
    overlap_frame: int

    @property
    def to_floor(self) -> float:
        """What would have to be added to the root's height so that the lowest point of all is on the floor (m)."""
        return -self.lowest


def inspect(robot: Character, motion: Clip) -> Inspection:
    """Measures a clip of a robot (`clips.checked`).

    Raises:
      BadClip: if it is shorter than two of the robot's physics steps.
    """
    m = robot.model
    _, touching = reference.build(robot, [motion])
    low, lies_on = reference.standing(robot, motion, touching)
    falls = lies_on[lies_on > 0]
    place, axes = _geoms(m, motion.qpos)
    points = _Points(robot)
    # Those that would touch the floor if the clip were on it: sliding has nothing to do with a root that is too high.
    lowered = motion.qpos.copy()
    lowered[:, 2] -= low.min()
    standing = reference.build(robot, [dataclasses.replace(motion, qpos=lowered)])[1]
    return Inspection(
        frames=len(motion.qpos),
        fps=motion.fps,
        seconds=motion.seconds,
        loop=motion.loop,
        lowest=float(low.min()),
        lowest_median=float(np.median(low)),
        touching=tuple(_body(robot, body) for body in touching),
        fallen=len(falls),
        fallen_body=_body(robot, int(np.bincount(falls).argmax())) if len(falls) else "",
        **_limits(robot, motion.qpos),
        **points.sliding(place, axes, motion.fps, standing, float(np.quantile(low, LOWEST))),
        **_seam(robot, motion),
        **_speeds(robot, motion),
        **_overlap(robot, motion.qpos),
    )


def _body(robot: Character, body: int) -> str:
    return robot.bodies[body - 1]


def _geoms(m: mujoco.MjModel, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places [T, ngeom, 3] (m) and axes [T, ngeom, 3, 3] of all geoms."""
    data, place, axes = mujoco.MjData(m), [], []
    for pose in qpos:
        data.qpos[:] = pose
        mujoco.mj_kinematics(m, data)
        place.append(data.geom_xpos.copy())
        axes.append(data.geom_xmat.reshape(-1, 3, 3).copy())
    return np.array(place), np.array(axes)


class _Points:
    """Points of geoms that may be the lowest: P of them, each in its geom's frame, before the geom's radius.

    Unlike `awr_mjx.envs.physics.ground`'s, which may be now one corner of a box and now the opposite one, each stays
    the same point.
    """

    def __init__(self, robot: Character) -> None:
        m, found = robot.model, list[tuple[int, np.ndarray, float]]()
        for geom in robot.geoms:
            kind, size = int(m.geom_type[geom]), m.geom_size[geom]
            if kind == BOX:
                corners = np.stack(np.meshgrid(*[(-1, 1)] * 3), axis=-1).reshape(-1, 3)
                found += [(geom, corner * size, 0.0) for corner in corners]
            elif kind == SPHERE:
                found.append((geom, np.zeros(3), size[0]))
            else:
                found += [(geom, np.array([0.0, 0.0, side * size[1]]), size[0]) for side in (-1, 1)]
        self._robot = robot
        self._geom = np.array([one[0] for one in found], int)
        self._offset = np.array([one[1] for one in found])
        self._radius = np.array([one[2] for one in found])

    def _places(self, place: np.ndarray, axes: np.ndarray) -> np.ndarray:
        """The places [T, P, 3] (m) of geoms at [T, ngeom, 3] with axes [T, ngeom, 3, 3], at their lower side."""
        found = place[:, self._geom] + np.einsum("tpij,pj->tpi", axes[:, self._geom], self._offset)
        found[..., 2] -= self._radius
        return found

    def sliding(
        self, place: np.ndarray, axes: np.ndarray, fps: float, bodies: tuple[int, ...], level: float
    ) -> dict[str, Any]:
        """How fast what stands moves from a frame to the next; a ball that rolls stands still where it touches."""
        points = self._places(place, axes)
        arm = np.einsum("tpji,tpj->tpi", axes[:-1, self._geom], points[:-1] - place[:-1, self._geom])
        after = place[1:, self._geom] + np.einsum("tpij,tpj->tpi", axes[1:, self._geom], arm)
        near = points[..., 2] <= level + NEAR
        stands = near[:-1] & near[1:]
        body_of = self._robot.model.geom_bodyid[self._geom]
        stands &= np.isin(body_of, bodies)
        speed = np.where(stands, np.linalg.norm((after - points[:-1])[..., :2], axis=-1) * fps, -1.0)
        frame, point = np.unravel_index(int(speed.argmax()), speed.shape)
        if speed[frame, point] < 0:
            return {"slide": 0.0, "slide_body": "", "slide_frame": 0}
        body = _body(self._robot, int(body_of[point]))
        return {"slide": float(speed[frame, point]), "slide_body": body, "slide_frame": int(frame)}


def _limits(robot: Character, qpos: np.ndarray) -> dict[str, Any]:
    m = robot.model
    joints = np.flatnonzero((m.jnt_type == HINGE) & (m.jnt_limited != 0))
    angle = qpos[:, m.jnt_qposadr[joints]]
    over = np.maximum(m.jnt_range[joints, 0] - angle, angle - m.jnt_range[joints, 1])
    over = np.where(over > BEYOND, over, 0.0)
    if not over.any():
        return {"beyond": 0, "beyond_most": 0.0, "beyond_joint": ""}
    worst = robot.joint_names[joints[over.max(axis=0).argmax()]]
    return {"beyond": int((over > 0).any(axis=1).sum()), "beyond_most": float(over.max()), "beyond_joint": worst}


def _changes(robot: Character, qpos: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By how much the joints turn [T - 1, njnt] (rad), the root's first, and the root moves [T - 1] (m), each frame."""
    m = robot.model
    change = np.zeros((len(qpos) - 1, m.nv))
    for i in range(len(change)):
        mujoco.mj_differentiatePos(m, change[i], 1.0, qpos[i], qpos[i + 1])
    turns = [
        np.linalg.norm(change[:, first + (3 if joint == 0 else 0) :][:, : 1 if kind == HINGE else 3], axis=1)
        for joint, (first, kind) in enumerate(zip(m.jnt_dofadr, m.jnt_type, strict=True))
    ]
    return np.stack(turns, axis=1), np.linalg.norm(change[:, :3], axis=1)


def _seam(robot: Character, motion: Clip) -> dict[str, Any]:
    found: dict[str, Any] = {
        "seam_angle": 0.0,
        "seam_joint": "",
        "seam_height": 0.0,
        "seam_tilt": 0.0,
        "seam_turn": 0.0,
    }
    if not motion.loop:
        return found
    first, last = motion.qpos[0], motion.qpos[-1]
    turn = float(reference.cycle(motion)[2])
    begun = first.copy()
    mujoco.mju_mulQuat(begun[3:7], np.array([np.cos(turn / 2), 0, 0, np.sin(turn / 2)]), first[3:7])
    turns, _ = _changes(robot, np.stack([begun, last]))
    if turns[0, 1:].max(initial=0.0) > EXACT:
        worst = int(turns[0, 1:].argmax()) + 1
        found |= {"seam_angle": float(turns[0, worst]), "seam_joint": robot.joint_names[worst]}
    return found | {"seam_height": float(last[2] - first[2]), "seam_tilt": float(turns[0, 0]), "seam_turn": turn}


def _speeds(robot: Character, motion: Clip) -> dict[str, Any]:
    turns, moves = _changes(robot, motion.qpos)
    found: dict[str, Any] = {"fastest": 0.0, "fastest_joint": ""}
    if turns[:, 1:].max(initial=0.0) > EXACT:
        worst = int(turns[:, 1:].max(axis=0).argmax()) + 1
        found = {"fastest": float(turns[:, worst].max() * motion.fps), "fastest_joint": robot.joint_names[worst]}
    share = np.column_stack([turns / JUMP_ANGLE, moves / JUMP_PLACE])
    around = np.lib.stride_tricks.sliding_window_view(np.pad(share, ((2, 2), (0, 0)), mode="reflect"), 5, axis=0)
    jumps = (share > 1) & (share > JUMP_TIMES * np.median(around, axis=-1))
    return found | {"jumps": tuple(int(i) + 1 for i in np.flatnonzero(jumps.any(axis=1)))}


def _overlap(robot: Character, qpos: np.ndarray) -> dict[str, Any]:
    """By MuJoCo's contacts between the robot's own geoms; it leaves out bodies of which one hangs on the other."""
    m = copy.copy(robot.model)
    m.geom_contype[:], m.geom_conaffinity[:] = 0, 0
    m.body_contype[:], m.body_conaffinity[:] = 0, 0
    geoms = list(robot.geoms)
    m.geom_contype[geoms], m.geom_conaffinity[geoms] = 1, 1
    bodies = m.geom_bodyid[geoms]
    m.body_contype[bodies], m.body_conaffinity[bodies] = 1, 1
    data = mujoco.MjData(m)
    rest = _depths(m, data, m.qpos0)  # as it is built
    found: dict[str, Any] = {"overlap": 0.0, "overlap_bodies": (), "overlap_frame": 0}
    for frame, pose in enumerate(qpos):
        for pair, depth in _depths(m, data, pose).items():
            more = depth - rest.get(pair, 0.0)
            if more > found["overlap"]:
                names = tuple(_body(robot, body) for body in pair)
                found = {"overlap": more, "overlap_bodies": names, "overlap_frame": frame}
    return found


def _depths(m: mujoco.MjModel, data: mujoco.MjData, pose: np.ndarray) -> dict[tuple[int, int], float]:
    """How deep pairs of bodies are inside each other in a pose (m)."""
    data.qpos[:] = pose
    mujoco.mj_kinematics(m, data)
    mujoco.mj_collision(m, data)
    found: dict[tuple[int, int], float] = {}
    for geoms, distance in zip(data.contact.geom, data.contact.dist, strict=True):
        one, other = sorted(int(m.geom_bodyid[geom]) for geom in geoms)
        found[one, other] = max(found.get((one, other), 0.0), -float(distance))
    return found
