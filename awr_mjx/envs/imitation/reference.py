"""What a robot imitates, as tables: a clip's poses and what follows from them, at the times of the physics steps."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from flax import struct

from awr_mjx.envs.imitation import clips
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.errors import BadClip
from awr_mjx.envs.physics.ground import ground

TOUCHES = 0.03  # m: a point this near to the floor is taken to touch it, for clips are no nearer to what was done


@struct.dataclass
class Reference:
    """K clips, one after the other in tables of N rows; row r of a clip is r physics steps after its beginning.

    Attributes:
      qpos: float32 [N, nq], poses (m, rad, unit quaternions).
      qvel: float32 [N, nv], velocities (m/s and rad/s).
      bodies: float32 [N, nbody - 1, 3], places of the bodies from the root, in axes that turn with its heading (m).
      com_velocity: float32 [N, 3], of the centre of mass (m/s).
      lift: float32 [N], by how much the robot would have to be higher to be above the floor (m).
      first: int32 [K], the first row of each clip.
      rows: int32 [K], how many it has.
      loops: bool [K], whether its first row follows its last.
      cycle: float32 [K, 3], by how much a cycle moves (x and y, m) and turns (rad) whoever was at the origin.
    """

    qpos: jax.Array
    qvel: jax.Array
    bodies: jax.Array
    com_velocity: jax.Array
    lift: jax.Array
    first: jax.Array
    rows: jax.Array
    loops: jax.Array
    cycle: jax.Array


def heading(quat: np.ndarray) -> np.ndarray:
    """The angle (rad) in the floor's plane to which rotations [..., 4] turn the x axis."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    return np.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))


def build(robot: Character, motions: Sequence[Clip]) -> tuple[Reference, tuple[int, ...]]:
    """The tables of `motions`, and the bodies that may touch the floor: the robot's own, and those that do so in them.

    A loop is made as many steps long as it lasts, rounded: its time runs faster or slower by less than half a step in a
    cycle.

    Raises:
      BadClip: if a clip is shorter than two steps.
    """
    m, timestep = robot.model, float(robot.model.opt.timestep)
    parts = [_table(robot, motion, timestep) for motion in motions]
    rows = [len(part["qpos"]) for part in parts]
    cycles = [cycle(motion) if motion.loop else np.zeros(3) for motion in motions]
    tables = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    height = tables.pop("height")
    low = m.geom_bodyid[ground(m, robot.geoms).geoms[height.min(axis=0) < TOUCHES]].tolist()
    found = Reference(
        **{name: jnp.asarray(table, jnp.float32) for name, table in tables.items()},
        lift=jnp.asarray(np.maximum(0.0, -height.min(axis=1)), jnp.float32),
        first=jnp.asarray(np.cumsum([0, *rows[:-1]]), jnp.int32),
        rows=jnp.asarray(rows, jnp.int32),
        loops=jnp.asarray([motion.loop for motion in motions]),
        cycle=jnp.asarray(np.array(cycles), jnp.float32),
    )
    return found, tuple(sorted(_farthest(m, set(low)) | set(robot.may_touch)))


def standing(robot: Character, motion: Clip, may_touch: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """How high the robot is in each frame of a clip, and on what it lies there that may not touch the floor.

    Returns:
      Heights of the lowest point [T] (m), and the body to which it belongs, int [T]: 0 where that may touch, or is more
      than 3 cm above the floor.
    """
    m, data, points = robot.model, mujoco.MjData(robot.model), ground(robot.model, robot.geoms)
    low, body = np.empty(len(motion.qpos)), np.zeros(len(motion.qpos), int)
    bodies = m.geom_bodyid[points.geoms]
    for frame, pose in enumerate(motion.qpos):
        data.qpos[:] = pose
        mujoco.mj_kinematics(m, data)
        height = points.heights(data.geom_xpos, data.geom_xmat)
        low[frame] = height.min()
        if low[frame] < TOUCHES and bodies[height.argmin()] not in may_touch:
            body[frame] = bodies[height.argmin()]
    return low, body


def _farthest(m: mujoco.MjModel, bodies: set[int]) -> set[int]:
    """Those of some bodies below which none of the others hangs: a foot, and not the shin whose end is in its ankle."""
    above: set[int] = set()
    for body in bodies:
        while body := int(m.body_parentid[body]):
            above.add(body)
    return bodies - above


def cycle(motion: Clip) -> np.ndarray:
    """By how much a cycle of a loop moves (x and y, m) and turns (rad) whoever was at the origin, [3]."""
    first, last = motion.qpos[0], motion.qpos[-1]
    turn = float(heading(last[3:7]) - heading(first[3:7]))
    turn = (turn + np.pi) % (2 * np.pi) - np.pi
    c, s = np.cos(turn), np.sin(turn)
    return np.append(last[:2] - np.array([[c, -s], [s, c]]) @ first[:2], turn)


def repeated(motion: Clip, times: int) -> np.ndarray:
    """The poses [times (T - 1) + 1, nq] of so many cycles of a loop of T frames, each begun where the last one ends."""
    x, y, turn = cycle(motion)
    parts, place, angle = [], np.zeros(2), 0.0
    for _ in range(times):
        part = motion.qpos.copy()
        c, s = np.cos(angle), np.sin(angle)
        part[:, :2] = part[:, :2] @ np.array([[c, s], [-s, c]]) + place
        half = np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])
        for pose in part:
            mujoco.mju_mulQuat(pose[3:7], half, pose[3:7].copy())
        parts.append(part)
        place, angle = place + np.array([c * x - s * y, s * x + c * y]), angle + turn
    return np.concatenate([*(part[:-1] for part in parts), parts[-1][-1:]])


def _table(robot: Character, motion: Clip, timestep: float) -> dict[str, np.ndarray]:
    m, data = robot.model, mujoco.MjData(robot.model)
    steps = round(motion.seconds / timestep)
    if steps < 2:
        raise BadClip(f"a clip of {motion.seconds:.3g} s is shorter than two steps of {timestep:.3g} s")
    frames = np.linspace(0, len(motion.qpos) - 1, steps + 1)
    qpos = clips.interpolated(motion.qpos, frames, robot.balls)
    # As in DeepMimic, velocities are those between a frame and the next, and go over into each other in between.
    seconds, speeds = 1 / motion.fps, np.zeros((len(motion.qpos), m.nv))
    for i in range(len(motion.qpos) - 1):
        mujoco.mj_differentiatePos(m, speeds[i], seconds, motion.qpos[i], motion.qpos[i + 1])
    speeds[-1] = speeds[-2]
    before = np.minimum(frames.astype(int), len(speeds) - 2)
    share = (frames - before)[:, None]
    qvel = (1 - share) * speeds[before] + share * speeds[before + 1]
    rows = steps if motion.loop else steps + 1
    points = ground(m, robot.geoms)
    found: dict[str, list[np.ndarray]] = {"bodies": [], "com_velocity": [], "height": []}
    for pose, velocity in zip(qpos[:rows], qvel[:rows], strict=True):
        data.qpos[:], data.qvel[:] = pose, velocity
        mujoco.mj_forward(m, data)
        mujoco.mj_subtreeVel(m, data)
        angle = float(heading(pose[3:7]))
        c, s = np.cos(angle), np.sin(angle)
        found["bodies"].append((data.xpos[1:] - pose[:3]) @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]))
        found["com_velocity"].append(data.subtree_linvel[1].copy())
        found["height"].append(points.heights(data.geom_xpos, data.geom_xmat))
    return {"qpos": qpos[:rows], "qvel": qvel[:rows]} | {name: np.array(x) for name, x in found.items()}
