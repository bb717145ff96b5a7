"""What imitates: a robot's model, its servos, and what a reward and a fall rule must know of its bodies."""

import dataclasses
import functools
from collections.abc import Sequence

import mujoco
import numpy as np

from awr_mjx.envs.imitation.errors import BadCharacter

FREE, BALL, HINGE = (
    int(kind) for kind in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_BALL, mujoco.mjtJoint.mjJNT_HINGE)
)
FLOOR = "floor"


@dataclasses.dataclass(frozen=True)
class Character:
    """A robot with one free root, and hinges or balls with servos; joint 0 is the root.

    Attributes:
      name: what to call it.
      model: nothing in it drives the joints, and nothing touches: that is the task's business.
      kp: float64 [nv], stiffness of the servos (N m/rad); 0 for the root.
      kd: float64 [nv], their damping (N m s/rad); 0 for the root.
      torque_limit: float64 [njnt], the most a servo gives (N m), of a ball the norm; inf where nothing limits it.
      weight: float64 [njnt], of the joints in DeepMimic's pose and velocity rewards; the root's is the first, and their
        sum is 1.
      joints: how many joints DeepMimic counts, fixed ones too; the scale of these rewards.
      ends: bodies whose place is rewarded.
      geoms: spheres, capsules and boxes that could touch the floor.
      may_touch: bodies that may touch the floor, besides those that do so in the clips.
      trunk: bodies on which the limbs hang (`LimbSolver`).
      substeps: physics steps, of the model's `opt.timestep`, in a control step.
      frame_order: names of the joints in the order of DeepMimic's clips, if it is one of its characters.
      left_out: what of the robot's file is not simulated, a line each.
    """

    name: str
    model: mujoco.MjModel
    kp: np.ndarray
    kd: np.ndarray
    torque_limit: np.ndarray
    weight: np.ndarray
    joints: int
    ends: tuple[int, ...]
    geoms: tuple[int, ...]
    may_touch: tuple[int, ...]
    trunk: tuple[int, ...]
    substeps: int = 2
    frame_order: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises BadCharacter unless it has one free root, first, and nothing but hinges and balls below it."""
        m = self.model
        roots = int((m.jnt_type == FREE).sum())
        if roots != 1 or m.jnt_type[0] != FREE:
            raise BadCharacter(f"{self.name} has {roots} free joints: what imitates has one, at its root")
        for joint in range(1, m.njnt):
            if m.jnt_type[joint] not in (BALL, HINGE):
                raise BadCharacter(f"{self.name}: joint {self.joint_names[joint]} is neither a hinge nor a ball")

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Names in the order of `qpos`, the root's first."""
        return _named("joint", [self.model.joint(i).name for i in range(self.model.njnt)], 0)

    @property
    def bodies(self) -> tuple[str, ...]:
        """Names of the bodies, the world's left out."""
        return _named("body", [self.model.body(i).name for i in range(1, self.model.nbody)], 1)

    @property
    def coordinates(self) -> list[str]:
        """Names of what the servos turn, in the order of `qvel`: a hinge has one, a ball three."""
        m, names = self.model, self.joint_names
        axes = {HINGE: ("",), BALL: ("_x", "_y", "_z")}
        return [names[joint] + axis for joint in range(1, m.njnt) for axis in axes[int(m.jnt_type[joint])]]

    @functools.cached_property
    def middle(self) -> np.ndarray:
        """The pose float32 [nq] in the middle of hinges' limits; 0 where there are none, and balls not turned."""
        m = self.model
        pose = m.qpos0.copy()
        for joint in range(m.njnt):
            if m.jnt_limited[joint]:
                pose[m.jnt_qposadr[joint]] = m.jnt_range[joint].mean()
        return pose.astype(np.float32)

    def touching(self, names: Sequence[str]) -> "Character":
        """The same robot, whose bodies called `names` may touch the floor too."""
        more = {i for i, name in enumerate(self.bodies, 1) if name in names}
        return dataclasses.replace(self, may_touch=tuple(sorted(more | set(self.may_touch))))

    @property
    def balls(self) -> list[int]:
        """Where in `qpos` quaternions begin, the root's first."""
        m = self.model
        return [int(q) + 3 * (kind == FREE) for kind, q in zip(m.jnt_type, m.jnt_qposadr, strict=True) if kind != HINGE]


def _named(kind: str, names: Sequence[str], first: int) -> tuple[str, ...]:
    """Names, and for what has none its kind and number, which no other is called."""
    taken, found = set(names), []
    for number, name in enumerate(names, first):
        called = name or f"{kind} {number}"
        while not name and called in taken:
            called += "_"
        found.append(called)
    return tuple(found)


def trunk_of(m: mujoco.MjModel) -> tuple[int, ...]:
    """The bodies to take as the trunk, so that no limb branches: those between the root and where limbs part."""
    children: dict[int, list[int]] = {body: [] for body in range(m.nbody)}
    for body in range(1, m.nbody):
        children[int(m.body_parentid[body])].append(body)

    def moves(body: int) -> bool:
        return bool(m.body_dofnum[body]) or any(moves(child) for child in children[body])

    def branches(body: int) -> bool:
        limbs = [child for child in children[body] if moves(child)]
        return len(limbs) > 1 or any(branches(child) for child in limbs)

    found, look = [], [1]
    while look:
        body = look.pop(0)
        if body == 1 or branches(body):
            found.append(body)
            look += [child for child in children[body] if moves(child)]
    return tuple(found)


def prepare(m: mujoco.MjModel, timestep: float) -> None:
    """Sets a model's options to those of the physics of imitation, `awr_mjx.envs.physics.servo`: steps of `timestep` s.

    The floor and the joints' limits are as soft as they must be in such steps; MuJoCo would make them harder in finer
    ones, and a policy would meet another floor.
    """
    for solref in (m.geom_solref, m.jnt_solref):
        solref[:, 0] = np.where(solref[:, 0] > 0, np.maximum(solref[:, 0], 2 * timestep), solref[:, 0])
    m.opt.timestep, m.opt.integrator = timestep, mujoco.mjtIntegrator.mjINT_EULER
    m.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_EULERDAMP
    m.opt.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    m.opt.iterations, m.opt.ls_iterations = 3, 4
