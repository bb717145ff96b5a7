"""The example that plays imitation in C MuJoCo without this project."""

import ast
import dataclasses
import functools
import json
import pathlib
import shutil
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs.imitation import in_c, march
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.envs.imitation.task import Imitation
from awr_mjx.envs.physics.integrators import Physics
from awr_mjx.train import export
from awr_mjx.train.engine.player import Player
from awr_mjx.train.policies import formats, npz_player
from tests.examples import EXAMPLES, example
from tests.trained import make_player, python

pytest.importorskip("onnxruntime")

SCRIPT = EXAMPLES / "play_imitation.py"
ROBOT = march.humanoid()
# Clips and rows; the march has 72, its half 37, and the walk 61. Steps of two rows end some of them.
EPISODE = 40  # control steps
STARTS = np.array([(0, 0), (0, 33), (0, 69), (0, 70), (0, 71), (1, 0), (1, 20), (1, 34), (2, 7), (2, 59), (2, 58)])


@functools.cache
def played() -> Any:
    return example("play_imitation")


def walk() -> Clip:
    """A quarter of a circle, turning with it."""
    qpos = np.tile(ROBOT.model.qpos0, (31, 1))
    for frame, pose in enumerate(qpos):
        angle = np.pi / 2 * frame / 30
        pose[:2] = np.sin(angle), 1 - np.cos(angle)
        pose[3], pose[6] = np.cos(angle / 2), np.sin(angle / 2)
    return Clip(30.0, qpos, ROBOT.joint_names, loop=True)


@functools.cache
def task(actions: Any = "residual") -> Imitation:
    motion, around = march.march(ROBOT), walk()
    for clip in (motion, around):
        clip.qpos[:, 2] += 0.005  # at 0 a rounding error would decide whether a foot touches the floor
    half = Clip(motion.fps, motion.qpos[:37], motion.joint_names, loop=False)
    found = Imitation(ROBOT, [motion, half, around], actions)
    found.episode_length = EPISODE
    return found


def imitator(of: Imitation) -> Any:
    told = json.loads(json.dumps({"deployment": of.deployment(), "control_dt": of.dt}))
    return played().Imitator(told)


@functools.cache
def player() -> Player:
    """A policy whose actions are small: where torques are at their limits all the time, rounding errors grow."""
    made = make_player("imitate/march")
    out = made.learned.policy["net"]["out"]
    out.update({name: 0.05 * value for name, value in out.items()})
    return dataclasses.replace(made, env=task())


@pytest.fixture(scope="module")
def states() -> Any:
    return jax.jit(jax.vmap(task().start))(*jnp.asarray(STARTS.T, jnp.int32))


def test_it_begins_where_the_task_does(states: Any) -> None:
    robot = imitator(task())
    for i, (clip, row) in enumerate(STARTS):
        robot.start(robot.clips[clip], row)
        np.testing.assert_allclose(robot.observation(), states.obs[i], atol=1e-4, err_msg=f"{clip} {row}")


def test_it_sees_what_the_task_sees(states: Any) -> None:
    """After a control step from each start to a pose and a speed that are drawn; every third robot lies down."""
    rng, m = np.random.default_rng(0), ROBOT.model
    qpos, qvel = np.array(states.data.physics.qpos, np.float64), rng.normal(size=(len(STARTS), m.nv))
    for i, pose in enumerate(qpos):
        change = rng.normal(0.0, 0.3, m.nv)
        change[2] = -0.7 * (i % 3 == 2)
        in_c.mujoco.mj_integratePos(m, pose, change, 1.0)
    physics = Physics(jnp.asarray(qpos), jnp.asarray(qvel), jnp.zeros((len(STARTS), m.nv)))
    after = jax.jit(jax.vmap(task().arrived))(states, physics)
    robot, falls = imitator(task()), []
    for i, (clip, row) in enumerate(STARTS):
        robot.start(robot.clips[clip], row)

        def put(_: np.ndarray, i: int = i) -> None:
            robot.data.qpos[:], robot.data.qvel[:] = qpos[i], qvel[i]

        robot._physics_step = put
        error, fallen = robot.step(np.zeros(task().action_size))
        np.testing.assert_allclose(robot.observation(), after.obs[i], atol=1e-4, err_msg=f"{clip} {row}")
        assert error == pytest.approx(float(after.metrics["joint_error"][i]), abs=1e-5)
        falls.append(fallen)
    assert falls == (np.asarray(after.done) > 0).tolist() and 0 < sum(falls) < len(falls)


@pytest.mark.parametrize("actions", ["residual", "absolute"])
def test_its_servos_pull_where_the_tasks_do(states: Any, actions: str) -> None:
    of = task(actions)
    action = np.random.default_rng(1).normal(0.0, 0.7, (len(STARTS), of.action_size)).astype(np.float32)
    wanted = np.asarray(jax.jit(jax.vmap(of.target))(states, action))
    assert np.abs(action).max() > 1
    robot = imitator(of)
    for i, (clip, row) in enumerate(STARTS):
        robot.start(robot.clips[clip], row)
        np.testing.assert_allclose(robot.target(action[i])[7:], wanted[i, 7:], atol=1e-5)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("policy") / "policy.onnx"
    export.export(player(), out)
    return out


def test_it_plays_the_episodes_of_the_transfer(policy: pathlib.Path) -> None:
    keys = jax.random.split(jax.random.key(0), len(STARTS))  # as many as above: one program for both
    act, metadata = played().read(str(policy))
    seen: list[np.ndarray] = []

    def acts(obs: jax.Array) -> jax.Array:
        seen.append(np.asarray(obs))
        return jnp.asarray(np.stack([act(one) for one in seen[-1]]))

    _, lengths = in_c.play(task(), acts, keys, 1 / 480)
    began = jax.jit(jax.vmap(task().reset))(keys).data
    robot = played().Imitator(metadata)
    for i, length in enumerate(lengths):
        robot.start(robot.clips[int(began.clip[i])], int(began.row[i]))
        for step in range(length):
            obs = robot.observation()
            np.testing.assert_allclose(obs, seen[step][i], atol=1e-4, err_msg=f"{i} {step}")
            _, fallen = robot.step(act(obs))
            assert not (fallen and step < length - 1)
        assert fallen or length == EPISODE
    assert len(set(lengths)) > 2 and set(began.clip.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("kind", list(formats.KINDS))
def test_every_kind_of_file_carries_it(kind: str, tmp_path: pathlib.Path, policy: pathlib.Path) -> None:
    out, env = tmp_path / f"policy.{kind}", player().env
    if kind == "onnx":
        told = played().read(str(policy))[1]
    else:
        export.export(player(), out)
        beside = formats.write_metadata(player(), out)
        told = json.loads(beside.read_text()) if beside else npz_player.load(out).metadata
    assert told["deployment"] == env.deployment()  # type: ignore[attr-defined]


def test_it_needs_nothing_of_this_project(policy: pathlib.Path, tmp_path: pathlib.Path) -> None:
    script = tmp_path / "play_imitation.py"
    shutil.copy(SCRIPT, script)
    tree = ast.parse(script.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"typing"}
    assert imported - set(sys.stdlib_module_names) == {"mujoco", "numpy", "onnxruntime"}
    done = python("-I", script, policy, 4, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    act, metadata = played().read(str(policy))
    robot, rng, errors, whole = played().Imitator(metadata), np.random.default_rng(0), [], 0
    for _ in range(4):
        robot.start_anywhere(rng)
        steps, fallen = 0, False
        while steps < EPISODE and not fallen:
            error, fallen = robot.step(act(robot.observation()))
            errors.append(error)
            steps += 1
        whole += not fallen
    assert 0 < whole < 4
    assert done.stdout == (
        f"imitate/march: 4 episodes of {len(errors) / 120:.2f} s on average, {whole / 4:.0%} whole\n"
        f"joint error {np.mean(errors):.3f} rad\n"
    )


def test_it_refuses_in_one_line(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    export.export(make_player("inverted_pendulum"), tmp_path / "other.onnx")
    (tmp_path / "text.onnx").write_text("no policy")
    for args, words in (
        (("other.onnx", "1"), "other.onnx has no robot and no clips to play it with"),
        (("text.onnx", "1"), "text.onnx cannot be read: "),
        (("other.onnx", "0"), "episodes must be 1 or more"),
    ):
        monkeypatch.setattr(sys, "argv", ["play_imitation.py", str(tmp_path / args[0]), args[1]])
        with pytest.raises(SystemExit) as stop:
            played().main()
        assert stop.value.code == 2
        assert words in capsys.readouterr().err.splitlines()[-1]
