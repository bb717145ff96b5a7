"""The task of imitation: time, cycles, falls, actions, starts."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import State, UnknownTask
from awr_mjx.envs.imitation import march
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.task import ABSOLUTE, RESIDUAL, Imitating, Imitation
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.train.engine import presets

ROBOT = march.humanoid()


@functools.cache
def task() -> Imitation:
    """The march, and its first half as a clip that is no loop."""
    motion = march.march(ROBOT)
    return Imitation(ROBOT, [motion, Clip(motion.fps, motion.qpos[:37], motion.joint_names, loop=False)])


@functools.cache
def step() -> Any:
    return jax.jit(jax.vmap(task().step))


def starts(clip: int, rows: list[int]) -> State:
    return _start()(jnp.full(len(rows), clip, jnp.int32), jnp.array(rows, jnp.int32))


@functools.cache
def _start() -> Any:
    return jax.jit(jax.vmap(task().start))


NOTHING = jnp.zeros((4, task().action_size))


def test_who_stands_where_the_clip_is_is_told_so_and_paid_for_it() -> None:
    state = starts(0, [0, 10, 31, 71])
    np.testing.assert_allclose(jax.vmap(task().wanted_positions)(state), jax.vmap(task().positions)(state), atol=1e-4)
    after = step()(state, NOTHING)
    assert (after.reward > 0.95).all() and not after.done.any()
    assert after.obs.shape == (4, task().observation_size) and np.isfinite(after.obs).all()
    assert (after.metrics["joint_error"] < 0.05).all() and (after.metrics["mpkpe"] < 0.02).all()


def test_time_goes_in_whole_steps_and_a_loop_begins_again() -> None:
    state = starts(0, [0, 10, 69, 71])
    state = step()(state, NOTHING)
    assert state.data.row.tolist() == [2, 12, 71, 1]  # 72 rows


def test_a_new_cycle_is_where_the_robot_is() -> None:
    t = task()
    state = starts(0, [70, 69])
    physics = state.data.physics
    physics = physics.replace(qpos=physics.qpos.at[:, :2].add(jnp.array([3.0, -2.0])))
    now = jax.vmap(lambda was, p: t._next(was, p)[0])(state.data, physics)
    wanted = jax.vmap(lambda n: t._wanted(n)[0].qpos)(now)
    np.testing.assert_allclose(wanted[0, :2], physics.qpos[0, :2], atol=1e-6)  # began anew
    assert np.linalg.norm(wanted[1, :2] - physics.qpos[1, :2]) > 3  # has one step to go


def test_cycles_turn_as_the_clip_does() -> None:
    """A clip that goes round a quarter of a circle of radius 1: each cycle goes on a quarter further round, evenly."""
    m = ROBOT.model
    qpos = np.tile(m.qpos0, (31, 1))
    for frame, pose in enumerate(qpos):
        angle = np.pi / 2 * frame / 30
        pose[:2] = np.sin(angle), 1 - np.cos(angle)
        pose[3], pose[6] = np.cos(angle / 2), np.sin(angle / 2)
    t = Imitation(ROBOT, [Clip(30.0, qpos, ROBOT.joint_names, loop=True)])
    first, now = t.start(jnp.int32(0), jnp.int32(0)).data, t.start(jnp.int32(0), jnp.int32(0)).data
    follow = jax.jit(lambda now: t._next(now, first.physics)[0])  # the robot stays where it is
    see = jax.jit(lambda now: t._wanted(now)[0])
    seen = [see(now)]
    for _ in range(4 * 30):
        now = follow(now)
        seen.append(see(now))
    turned = np.unwrap([2 * np.arctan2(float(w.qpos[6]), float(w.qpos[3])) for w in seen])
    np.testing.assert_allclose(turned, np.linspace(0, 2 * np.pi, 121), atol=1e-4)
    moves = np.diff(np.array([w.qpos[:2] for w in seen]), axis=0)
    for cycle in range(4):
        angles = np.pi / 2 * (cycle + (np.arange(29) + 0.5) / 30)
        own = moves[30 * cycle : 30 * cycle + 29]
        np.testing.assert_allclose(own, 0.0523 * np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-3)
        np.testing.assert_allclose(seen[30 * cycle + 30].qpos[:2], 0, atol=1e-5)  # moved to the robot
    speeds = np.array([w.qvel[:2] for w in seen])
    ahead = np.stack([np.cos(turned), np.sin(turned)], 1)
    np.testing.assert_allclose(speeds, np.pi / 2 * ahead, atol=0.05)


def test_a_clip_that_is_no_loop_begins_again_with_the_robot() -> None:
    state = starts(1, [0, 32, 33, 34])  # 37 rows, the last is 36, and a control step has 2
    state = step()(state, NOTHING)
    assert state.data.row.tolist() == [2, 34, 0, 0] and not state.done.any()  # the end is no fall
    assert (state.reward > 0.9).all()
    first = starts(1, [0, 0, 0, 0])
    for ended in (2, 3):
        np.testing.assert_allclose(state.obs[ended], first.obs[0], atol=1e-5)
        np.testing.assert_array_equal(state.data.physics.qpos[ended], first.data.physics.qpos[0])
    assert np.abs(state.obs[1] - first.obs[0]).max() > 0.05


def test_who_falls_is_not_paid_and_done() -> None:
    state = starts(0, [0, 10, 20, 30])
    down = state.data.physics.qpos.at[0, 2].add(-0.7).at[1, 2].add(-0.3)  # hands and pelvis; shins
    state = dataclasses.replace(state, data=state.data.replace(physics=state.data.physics.replace(qpos=down)))
    state = step()(state, NOTHING)
    assert state.done.tolist()[0] == 1 and state.done.tolist()[2:] == [0, 0]
    assert state.reward[0] == 0 and (state.reward[2:] > 0.9).all()


def test_training_gives_up_who_is_far_from_the_clip() -> None:
    height = march.march(ROBOT).qpos[:, 2].mean()
    state = starts(0, [0, 10, 20, 30])
    physics = state.data.physics
    off = jnp.array([0.0, 0.8, 0.9, 0.9]) * height  # m to the side
    physics = physics.replace(qpos=physics.qpos.at[:, 1].add(off))
    after = step()(dataclasses.replace(state, data=state.data.replace(physics=physics)), NOTHING)
    assert not after.done.any()
    for give_up, want in ((0.85, [False, False, True, True]), (0.0, [False] * 4)):
        of = Imitation(ROBOT, [march.march(ROBOT)], give_up=give_up)
        assert jax.vmap(of.given_up)(after).tolist() == want
    own = TaskOptions(robot="humanoid", clip=("march",))
    made: list[Any] = [registry.make(f"{of}imitate/robot", own) for of in ("", "paper/")]
    assert [one._give_up for one in made] == [0.85, np.inf]


def test_actions_move_targets_from_the_clip_ahead() -> None:
    t, m = task(), ROBOT.model
    now = t.start(jnp.int32(0), jnp.int32(70)).data
    ahead = np.asarray(t.tables.qpos[(70 + 6) % 72])
    np.testing.assert_allclose(t._target(now, jnp.zeros(t.action_size))[7:], ahead[7:], atol=1e-6)
    action = np.zeros(t.action_size, np.float32)
    knee = int(m.joint("left_knee").dofadr[0]) - 6
    action[knee] = 0.4
    moved = np.asarray(t._target(now, jnp.asarray(action)))
    place = int(m.joint("left_knee").qposadr[0])
    assert moved[place] - ahead[place] == pytest.approx(0.4 * RESIDUAL, abs=1e-5)
    late = t._target(Imitating(now.physics, jnp.int32(1), jnp.int32(35), jnp.zeros(3)), jnp.zeros(t.action_size))
    np.testing.assert_allclose(late[7:], t.tables.qpos[72 + 36, 7:], atol=1e-6)  # no loop: stays at its end


def test_absolute_actions_are_about_the_middle() -> None:
    t, m = Imitation(ROBOT, [march.march(ROBOT)], "absolute"), ROBOT.model
    now = t.start(jnp.int32(0), jnp.int32(5)).data
    target = np.asarray(t._target(now, jnp.zeros(t.action_size)))
    knee, hip = (int(m.joint(f"left_{name}").qposadr[0]) for name in ("knee", "hip"))
    assert target[knee] == pytest.approx(np.radians(75), abs=1e-5)
    np.testing.assert_allclose(target[hip : hip + 4], [1, 0, 0, 0], atol=1e-6)
    one = np.zeros(t.action_size, np.float32)
    one[int(m.joint("left_hip").dofadr[0]) - 6 + 1] = 0.5
    turned = np.asarray(t._target(now, jnp.asarray(one)))[hip : hip + 4]
    np.testing.assert_allclose(turned, [np.cos(ABSOLUTE / 4), 0, np.sin(ABSOLUTE / 4), 0], atol=1e-5)


def test_actions_beyond_one_are_cut() -> None:
    state = starts(0, [0, 10, 20, 30])
    one, more = (step()(state, jnp.full((4, task().action_size), size)) for size in (1.0, 3.0))
    np.testing.assert_array_equal(one.obs, more.obs)


def test_episodes_begin_anywhere_in_every_clip() -> None:
    states = jax.jit(jax.vmap(task().reset))(jax.random.split(jax.random.key(0), 4000))
    clips, rows = np.asarray(states.data.clip), np.asarray(states.data.row)
    assert np.bincount(clips).tolist() == pytest.approx([2000, 2000], abs=150)
    assert set(rows[clips == 0]) == set(range(72))
    assert set(rows[clips == 1]) == set(range(35))  # a control step is left


def test_tasks_by_name() -> None:
    made: Any = registry.make("imitate/march")
    assert made.robot.name == "humanoid" and made.action_size == 28 and made.episode_length == 600
    assert len(made.action_names) == 28 and "left_hip_x" in made.action_names
    assert presets.preset("imitate/dog").awr.gamma == 0.95
    for name, options, words in (
        ("imitate/humanoid", {}, "needs a clip to imitate: --env.clip FILE"),
        ("imitate/humanoid", {"clip": ("march",)}, "needs a robot: --env.robot FILE.xml"),
        ("imitate/humanoid", {"robot": "humanoid", "clip": ("no.npz",)}, "there is no file no.npz"),
        ("imitate/humanoid", {"robot": "no.xml", "clip": ("march",)}, "there is no file no.xml"),
        ("imitate/march", {"touch": ("knee",)}, "has no body knee"),
    ):
        with pytest.raises(UnknownTask, match=words):
            registry.make(name, TaskOptions(**options))
    touching: Any = registry.make("imitate/march", TaskOptions(touch=("left_hand",)))
    assert {ROBOT.bodies[body - 1] for body in touching.may_touch} == {"left_foot", "right_foot", "left_hand"}
