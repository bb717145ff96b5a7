"""Run folders without the training, for the programs that use a trained policy."""

import contextlib
import io
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState
from awr_mjx.algorithm.normalizer import Normalizer
from awr_mjx.envs import registry
from awr_mjx.train.console import files
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.checkpointing import Checkpoints
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.player import Player

SETTINGS: dict[str, Any] = {"policy_hidden": (32, 16), "value_hidden": (8,), "rollout_steps": 2, "batch_size": 8}


def shaken(learned: LearnerState, seed: int = 0) -> LearnerState:
    """`learned` with every policy parameter moved and a normaliser that has seen something: no number is 0 or 1."""
    rng = np.random.default_rng(seed)
    policy = jax.tree.map(lambda x: jnp.asarray(x + 0.3 * rng.standard_normal(x.shape), jnp.float32), learned.policy)
    policy["net"]["out"]["bias"] += 1.0  # some modes are outside of [-1, 1]
    size = learned.normalizer.mean.size
    variance = np.linspace(0.1, 2.0, size, dtype=np.float32)
    variance[1] = 1e-8  # this observation has never changed: its std is below the floor
    mean = np.linspace(-1.0, 3.0, size, dtype=np.float32)
    stats = Normalizer(jnp.float32(100.0), jnp.asarray(mean), jnp.asarray(variance))
    return learned.replace(policy=policy, normalizer=stats)  # type: ignore[attr-defined]


def make_player(task: str, **awr: Any) -> Player:
    config = TrainConfig(env=task, num_envs=4, awr=AwrConfig(**SETTINGS | awr))
    env = registry.make(task)
    learner = Learner(config.awr, env.observation_size, env.action_size, env.discrete)
    return Player(config, env, learner, shaken(jax.jit(learner.init)(jax.random.key(0))), 1234)


def make_run(run: pathlib.Path, task: str) -> pathlib.Path:
    """A run folder as training leaves it, without the training."""
    player = make_player(task)
    state = Loop(player.env, player.config.awr, player.config.num_envs).init(0)
    run.mkdir()
    files.write_json(run / "config.json", {"settings": settings.to_dict(player.config)})
    saves = Checkpoints(run, keep=1, with_ring=False)
    assert saves.save(state.replace(learner=player.learned), player.steps) is None  # type: ignore[attr-defined]
    assert saves.wait() is None
    saves.close()
    return run


@pytest.fixture(scope="module")
def pendulum_run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return make_run(tmp_path_factory.mktemp("pendulum") / "run", "inverted_pendulum")


def python(*args: object, **more: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **more)


def ended(program: Any, *args: object) -> subprocess.CompletedProcess[str]:
    """A program's status and what it said, from inside this process: seconds quicker than a new one."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["program", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            run_program(program.main)
    return subprocess.CompletedProcess(sys.argv, int(stop.value.code or 0), out.getvalue(), err.getvalue())


def wait_for(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refusal(monkeypatch: pytest.MonkeyPatch, program: Any, *args: object) -> str:
    monkeypatch.setattr(sys, "argv", ["program", *map(str, args)])
    with pytest.raises(UserError) as caught:
        program.main()
    return " ".join(str(caught.value).split())
