"""The task: a robot with servos imitates clips (Peng et al. 2018, "DeepMimic"; Peng et al. 2019, section 5.3)."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from awr_mjx.envs.base import State
from awr_mjx.envs.imitation import reference, reward
from awr_mjx.envs.imitation.characters import Character
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.deployment import deployment
from awr_mjx.envs.imitation.reward import Motion
from awr_mjx.envs.physics import integrators, rotations
from awr_mjx.envs.physics.ground import ground
from awr_mjx.envs.physics.integrators import Physics
from awr_mjx.envs.physics.joints import ROOT, Joints
from awr_mjx.envs.physics.servo import ServoDynamics, Servos
from awr_mjx.envs.physics.tree import Places

Actions = Literal["residual", "absolute"]
AHEAD = 0.1  # s: DeepMimic's servos pull their speed to 0 and so lag by kd / kp
RESIDUAL, ABSOLUTE = 0.5, np.pi  # rad, of an action of 1
SECONDS = 20.0  # of an episode


@struct.dataclass
class Imitating:
    """The state of an episode.

    Attributes:
      physics: the robot's.
      clip: int32 [], which clip.
      row: int32 [], where in it: physics steps since its beginning.
      origin: float32 [3], where the clip's origin is now (x and y, m) and how far it has turned (rad).
    """

    physics: Physics
    clip: jax.Array
    row: jax.Array
    origin: jax.Array


class Imitation:
    """A robot that is rewarded for doing what its clips do.

    An episode begins anywhere in a clip, in its pose and at its speed. It ends, as a failure, when a body that may not
    touch the floor does. Where a clip that is no loop ends, the robot is put where it begins, and goes on.

    Attributes:
      may_touch: the bodies that may touch the floor: the robot's own, and those that do so in the clips.
      return_max: the most that an episode can return: 1 a step.
      tables: the clips.
      clip_rows: in how many rows of each clip, from its first on, an episode can begin; a row is a physics step.
      remarks: what who trains it should know of the robot and the clips, a line each.

    An action moves the servos' targets: from where the clip will be in 0.1 s by up to 0.5 rad a joint ("residual"), or
    from the middle of the joints by up to pi ("absolute", the paper's).

    Training gives up a robot that is far off: what it meets there says little of how to stay with the clip, and ever
    more of its data would be of there, for a robot that is slower than its clip but does not fall lives long.
    """

    discrete = False

    def __init__(
        self, robot: Character, motions: Sequence[Clip], actions: Actions = "residual", give_up: float = 0.0
    ) -> None:
        """Takes the robot and the clips, which are of its joints (`clips.checked`).

        Training gives up when the bodies are farther from where the clip has them, in the mean, than `give_up` times
        the clips' mean height of the root; 0: never.

        Raises:
          BadClip: if a clip is too short.
          NotImplementedError: if the robot has what `ServoDynamics` cannot do.
        """
        m = self.mj_model = robot.model
        self.robot, self._actions, self._give_up = robot, actions, give_up or np.inf
        self.dt = float(m.opt.timestep) * robot.substeps
        self.episode_length = round(SECONDS / self.dt)
        self.return_max = float(self.episode_length)
        self._ahead = round(AHEAD / float(m.opt.timestep))
        self._joints = Joints(m)
        self.tables, self.may_touch = reference.build(robot, motions)
        rows = np.asarray(self.tables.rows)  # where a clip ends that is no loop, a control step is left
        rows = np.where(self.tables.loops, rows, np.maximum(rows - robot.substeps, 1))
        self.clip_rows: tuple[int, ...] = tuple(rows.tolist())
        self.remarks = robot.left_out
        touching = [g for g in robot.geoms if m.geom_bodyid[g] in self.may_touch]
        others = [g for g in robot.geoms if m.geom_bodyid[g] not in self.may_touch]
        servos = Servos(m, robot.kp, robot.kd, robot.torque_limit)
        self._dynamics = ServoDynamics(m, servos, touching, robot.trunk)
        self._others = ground(m, others)
        self._reward = reward.Reward(robot)
        self._ends = np.array(robot.ends) - 1
        self.action_size = m.nv - ROOT
        first = jax.eval_shape(self.reset, jax.random.key(0))
        self.observation_size = int(first.obs.shape[0])
        self.action_names = robot.coordinates

    def reset(self, key: jax.Array) -> State:
        """Returns the beginning of an episode: a clip's pose and speed at a time of its own."""
        key_clip, key_row = jax.random.split(key)
        clip = jax.random.randint(key_clip, (), 0, len(self.clip_rows))
        return self.start(clip, jax.random.randint(key_row, (), 0, jnp.array(self.clip_rows, jnp.int32)[clip]))

    def start(self, clip: jax.Array, row: jax.Array) -> State:
        """Returns the beginning of an episode at row `row` of clip number `clip`, int32 [] both."""
        now, ends = self._at(clip, row)
        zero = jnp.float32(0.0)
        metrics = {name: zero for name in (*reward.WEIGHTS, "joint_error", "mpkpe", "r_mpkpe")}
        return State(now, self._observe(now, ends), zero, zero, metrics)

    def _at(self, clip: jax.Array, row: jax.Array) -> tuple[Imitating, jax.Array]:
        """The state of a robot that is where the clip is, but above the floor, and its end effectors (`Motion`)."""
        place = self.tables.first[clip] + row
        qpos = self.tables.qpos[place].at[2].add(self.tables.lift[place])
        physics = Physics(qpos, self.tables.qvel[place], jnp.zeros(self.mj_model.nv))
        ends = self.tables.bodies[place][self._ends].at[:, 2].add(qpos[2])
        return Imitating(physics, clip, row, jnp.zeros(3)), ends

    def step(self, state: State, action: jax.Array) -> State:
        """Returns the state one control step later; `action` float32 [nv - 6]."""
        return self.arrived(state, self._moved(state.data.physics, self.target(state, action)))

    def target(self, state: State, action: jax.Array) -> jax.Array:
        """Returns the pose [nq] that the servos pull to for the next control step; the root's part means nothing."""
        return self._target(state.data, jnp.clip(action, -1.0, 1.0))

    def arrived(self, state: State, physics: Physics) -> State:
        """Returns the state after a control step from `state` that has led the robot to `physics`."""
        was: Imitating = state.data
        seen = self._dynamics.tree.places(physics.qpos)
        now, over = self._next(was, physics)
        robot = self._motion(physics, seen)
        wanted, bodies = self._wanted(now)
        apart = self._joints.difference(physics.qpos, wanted.qpos)
        terms = self._reward(robot, wanted, apart)
        fallen = (
            (self._others.points(seen.geom_xpos, seen.geom_xmat)[0] < 0).any() if len(self._others.geoms) else False
        )
        paid = sum(weight * terms[name] for name, weight in reward.WEIGHTS.items())
        paid = jnp.where(fallen, 0.0, paid)
        metrics = terms | self._errors(physics, seen, wanted, bodies, apart)
        again = self._at(was.clip, jnp.int32(0))
        now, ends = jax.tree.map(lambda new, old: jnp.where(over, new, old), again, (now, robot.ends))
        return State(now, self._observe(now, ends), jnp.float32(paid), jnp.float32(fallen), metrics)

    def given_up(self, state: State) -> jax.Array:
        """Returns bool [], whether training gives the episode up: the robot is too far from what it imitates."""
        return state.metrics["mpkpe"] > self._give_up * self.tables.qpos[:, 2].mean()

    @property
    def measure(self) -> tuple[float, float]:
        """The clips' mean height of the root, and their mean distance of the body farthest from it (m)."""
        reach = jnp.linalg.norm(self.tables.bodies, axis=-1).max(axis=1).mean()
        return float(self.tables.qpos[:, 2].mean()), float(reach)

    def positions(self, state: State) -> jax.Array:
        """Returns the model's positions [nq], for pictures."""
        return state.data.physics.qpos

    def wanted_positions(self, state: State) -> jax.Array:
        """Returns the positions [nq] that are imitated, for pictures."""
        return self._wanted(state.data)[0].qpos

    def deployment(self) -> dict[str, Any]:
        """Returns what it takes to play its policies without this project; docs/imitation.md says what is what."""
        return deployment(self.robot, self.tables, self.may_touch) | {
            "episode_length": self.episode_length,
            "actions": self._actions,
            "action_scale": float(ABSOLUTE if self._actions == "absolute" else RESIDUAL),
            "ahead": AHEAD,
            "middle": self.robot.middle.tolist(),
        }

    def pushed(self, state: State, velocity: jax.Array) -> State:
        """Returns `state` with the root's velocity changed by `velocity` float32 [3] (m/s, world axes)."""
        physics = state.data.physics
        physics = physics.replace(qvel=physics.qvel.at[:3].add(velocity))
        return dataclasses.replace(state, data=state.data.replace(physics=physics))

    def _target(self, now: Imitating, action: jax.Array) -> jax.Array:
        """The pose [nq] that the servos pull to; the root's part means nothing."""
        if self._actions == "absolute":
            return self._joints.moved(jnp.asarray(self.robot.middle), jnp.pad(ABSOLUTE * action, (ROOT, 0)))
        ahead = self.tables.qpos[self._place(now.clip, now.row + self._ahead)]
        return self._joints.moved(ahead, jnp.pad(RESIDUAL * action, (ROOT, 0)))

    def _place(self, clip: jax.Array, row: jax.Array) -> jax.Array:
        """Where in the tables row `row` of a clip is; behind its end a loop goes on, and another stays."""
        rows = self.tables.rows[clip]
        return self.tables.first[clip] + jnp.where(self.tables.loops[clip], row % rows, jnp.minimum(row, rows - 1))

    def _moved(self, physics: Physics, target: jax.Array) -> Physics:
        def forward(p: Physics) -> tuple[jax.Array, Any]:
            return self._dynamics(p.qpos, p.qvel, p.qacc_warmstart, target)

        def substep(p: Physics, _: None) -> tuple[Physics, None]:
            return integrators.euler(self.mj_model, forward, p)[0], None

        return jax.lax.scan(substep, physics, None, length=self.robot.substeps)[0]

    def _next(self, was: Imitating, physics: Physics) -> tuple[Imitating, jax.Array]:
        """The next place in the clip, and whether it was the last of one that is no loop.

        A new cycle of a loop begins where the last one ends: turned as far, and, as in DeepMimic, moved to the robot.
        """
        rows, loops = self.tables.rows[was.clip], self.tables.loops[was.clip]
        row = was.row + self.robot.substeps
        again = loops & (row >= rows)
        over = ~loops & (row + self.robot.substeps >= rows)  # there is no next
        row = jnp.where(again, row - rows, jnp.minimum(row, rows - 1))
        angle = was.origin[2] + self.tables.cycle[was.clip, 2]
        at_root = _turned(angle, self.tables.qpos[self.tables.first[was.clip] + row, :2])
        origin = jnp.append(physics.qpos[:2] - at_root, angle)
        return Imitating(physics, was.clip, row, jnp.where(again, origin, was.origin)), over

    def _wanted(self, now: Imitating) -> tuple[Motion, jax.Array]:
        """What is imitated now, and its bodies' places [nbody - 1, 3] from its root, turned with its heading."""
        place = self.tables.first[now.clip] + now.row
        qpos, qvel, bodies = self.tables.qpos[place], self.tables.qvel[place], self.tables.bodies[place]
        x, y, angle = now.origin
        turn = jnp.array([jnp.cos(angle / 2), 0.0, 0.0, jnp.sin(angle / 2)])
        root = jnp.concatenate([_turned(angle, qpos[:2]) + jnp.array([x, y]), qpos[2:3]])
        qpos = jnp.concatenate([root, rotations.product(turn, qpos[3:7]), qpos[7:]])
        qvel = jnp.concatenate([_turned(angle, qvel[:2]), qvel[2:]])
        com = self.tables.com_velocity[place]
        com = jnp.append(_turned(angle, com[:2]), com[2])
        ends = bodies[self._ends].at[:, 2].add(root[2])
        return Motion(qpos, qvel, ends, com), bodies

    def _motion(self, physics: Physics, seen: Places) -> Motion:
        bodies = self._bodies(physics, seen)
        ends = bodies[self._ends].at[:, 2].add(physics.qpos[2])
        com_velocity = self._dynamics.tree.com_velocity(seen, physics.qvel)
        return Motion(physics.qpos, physics.qvel, ends, com_velocity)

    def _bodies(self, physics: Physics, seen: Places) -> jax.Array:
        """The bodies' places [nbody - 1, 3] from the root, in axes that turn with its heading (m)."""
        arm = seen.xpos[1:] - physics.qpos[:3]
        return jnp.concatenate([_turned(-_heading(physics.qpos[3:7]), arm[:, :2]), arm[:, 2:]], 1)

    def _errors(
        self, physics: Physics, seen: Places, wanted: Motion, bodies: jax.Array, apart: jax.Array
    ) -> dict[str, jax.Array]:
        """How far the robot is from what it imitates: joints (rad), and bodies (m), also from root to root."""
        mine = self._bodies(physics, seen)
        flat = _turned(_heading(wanted.qpos[3:7]), bodies[:, :2])
        theirs = wanted.qpos[:3] + jnp.concatenate([flat, bodies[:, 2:]], 1)
        count = len(self._joints.hinges) + len(self._joints.balls)
        return {
            "joint_error": jnp.sqrt(jnp.square(apart[ROOT:]).sum() / count),
            "mpkpe": jnp.linalg.norm(seen.xpos[1:] - theirs, axis=1).mean(),
            "r_mpkpe": jnp.linalg.norm(mine - bodies, axis=1).mean(),
        }

    def _observe(self, now: Imitating, ends: jax.Array) -> jax.Array:
        """The observation: the phase, the robot's state, and how far it is from the clip now and in 0.1 s."""
        physics = now.physics
        wanted, _ = self._wanted(now)
        rows, loops = self.tables.rows[now.clip], self.tables.loops[now.clip]
        share = now.row / rows
        phase = jnp.where(
            loops, jnp.array([jnp.cos(2 * jnp.pi * share), jnp.sin(2 * jnp.pi * share)]), jnp.array([2 * share - 1, 0])
        )
        back = -_heading(physics.qpos[3:7])
        apart = self._joints.difference(physics.qpos, wanted.qpos)
        ahead = self._joints.difference(physics.qpos, self.tables.qpos[self._place(now.clip, now.row + self._ahead)])
        return jnp.concatenate(
            [
                phase,
                physics.qpos[2:3],
                rotations.rotated(rotations.inverse(physics.qpos[3:7]), jnp.array([0.0, 0.0, 1.0])),
                _turned(back, physics.qvel[:2]),
                physics.qvel[2:],
                _turned(back, apart[:2]),
                apart[2:],
                ahead[ROOT:],
                ends.reshape(-1),
            ]
        )


def _heading(quat: jax.Array) -> jax.Array:
    w, x, y, z = quat
    return jnp.arctan2(2 * (x * y + w * z), 1 - 2 * (y * y + z * z))


def _turned(angle: jax.Array, xy: jax.Array) -> jax.Array:
    """Vectors [..., 2] in the floor's plane, turned by `angle` [] (rad)."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([c * xy[..., 0] - s * xy[..., 1], s * xy[..., 0] + c * xy[..., 1]], -1)
