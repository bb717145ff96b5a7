"""Brax's PPO and SAC on our tasks, with our clock and our evaluation; the training itself where Brax is installed."""

import importlib.util
import itertools
import json
import pathlib
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import Env
from awr_mjx.train.benchmarks import brax_settings, brax_trainers
from awr_mjx.train.benchmarks.brax_trainers import BraxConfig, BraxTask, CompileClock
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.streams import stream
from tests.tasks import Broken, Chain, Hopeless, Walk
from tests.trained import refusal

needs_brax = pytest.mark.skipif(importlib.util.find_spec("brax") is None, reason="needs the extra brax")

# Small enough for seconds, for PPO and SAC; an epoch has 4 and 16 training steps.
TINY: dict[str, dict[str, Any]] = {
    "ppo": {"num_envs": 16, "unroll_length": 4, "batch_size": 16, "num_minibatches": 16, "num_updates_per_batch": 2},
    "sac": {"num_envs": 16, "batch_size": 32, "grad_updates_per_step": 8, "min_replay_size": 100},
}
TINY["ppo"] |= {"learning_rate": 1e-3, "normalize_observations": True, "discounting": 0.9}
TINY["sac"] |= {"max_replay_size": 1000, "q_network_layer_norm": True}
ENV_STEPS = {"ppo": 4 * 4 * 16 * 16, "sac": 16 * 16}
PREFILL = {"ppo": 0, "sac": 112}  # the first multiple of 16 environments from 100 on


def curve(run: pathlib.Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def train(run: pathlib.Path, algorithm: Any, env: Env, seconds: float) -> list[dict[str, float]]:
    config = BraxConfig(run, algorithm, minutes=seconds / 60, eval_seconds=0.5, eval_envs=8, devices=1)
    run.mkdir()
    brax_trainers.train(config, env, TINY[algorithm] | {"source": "here"})
    return curve(run)


@needs_brax
@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_the_curve_is_of_whole_episodes_from_our_start_states(tmp_path: pathlib.Path, algorithm: str) -> None:
    """A chain of 5 places pays 1 at its end, whatever the policy: its episodes' lengths tell where they started."""
    env = Chain(5)
    lines = train(tmp_path / "run", algorithm, env, 2.0)
    starts = jax.vmap(env.reset)(jax.random.split(stream(0, "evaluation"), 8)).data
    assert len(lines) >= 2
    for line in lines:
        assert line["mode_return"] == 1.0 and line["mode_return_std"] == 0.0
        assert line["mode_steps"] == pytest.approx(float((5 - starts).mean()))
        epochs = (line["env_steps"] - PREFILL[algorithm]) / ENV_STEPS[algorithm] if line["env_steps"] else 0
        assert epochs == int(epochs) and line["gradient_steps"] == 128 * epochs


@needs_brax
def test_the_clock_knows_training_from_compilation(tmp_path: pathlib.Path) -> None:
    lines = train(tmp_path / "run", "ppo", Walk(episode_length=5), 2.0)
    first, last = lines[0], lines[-1]
    assert first["env_steps"] == first["gradient_steps"] == first["train_seconds"] == 0
    for name in ("env_steps", "gradient_steps", "train_seconds", "wall_seconds"):
        assert all(a[name] < b[name] for a, b in itertools.pairwise(lines)), name
    assert 2.0 <= last["train_seconds"]
    # The epoch is compiled after the first line. Were it counted as training too, the parts would exceed the whole.
    trained, compiled, passed = (
        last[name] - first[name] for name in ("train_seconds", "compile_seconds", "wall_seconds")
    )
    assert compiled > 0.2
    assert trained + compiled <= passed
    assert len({line["compile_seconds"] for line in lines[1:]}) == 1, "the second epoch compiled something again"


@needs_brax
def test_training_trains_and_leaves_no_trace(tmp_path: pathlib.Path) -> None:
    import brax.training.acting

    before = brax.training.acting.Evaluator
    # Each step pays the position, which the action moves by up to 1, and beyond 3 the episode ends: 15 at the most.
    lines = train(tmp_path / "run", "ppo", Walk(bound=30.0, episode_length=6), 6.0)
    assert max(line["mode_return"] for line in lines) > lines[0]["mode_return"] + 3.0, lines
    assert brax.training.acting.Evaluator is before
    assert "device_put_replicated" not in vars(jax)


@needs_brax
def test_brax_meets_our_task_as_it_is() -> None:
    """Against the task stepped by hand, with Brax's rules: back to the first state after a failure or time limit."""
    from brax.envs.wrappers.training import wrap

    env = Walk(bound=2.0, episode_length=4)
    wrapped = wrap(BraxTask(env), episode_length=4)
    keys = jax.random.split(jax.random.PRNGKey(3), 5)
    state = jax.jit(wrapped.reset)(keys)
    start = jax.vmap(env.reset)(jax.random.wrap_key_data(keys))
    ours = [jax.tree.map(lambda x, i=i: x[i], start) for i in range(5)]
    steps = np.zeros(5, int)
    step = jax.jit(wrapped.step)
    ended = {"failure": 0, "limit": 0}
    for time_step in range(12):
        action = jax.random.uniform(jax.random.key(time_step), (5, 1), minval=-1.5, maxval=1.5)
        before = jax.tree.structure(state)
        state = step(state, action)
        assert jax.tree.structure(state) == before  # type: ignore[operator]
        for i in range(5):
            ours[i] = env.step(ours[i], action[i])
            steps[i] += 1
            failed, late = bool(ours[i].done), steps[i] >= 4
            np.testing.assert_allclose(state.reward[i], ours[i].reward, rtol=1e-6)
            assert bool(state.done[i]) == (failed or late)
            assert bool(state.info["truncation"][i]) == (late and not failed)
            ended["failure"] += failed
            ended["limit"] += late and not failed
            if failed or late:
                ours[i], steps[i] = jax.tree.map(lambda x, i=i: x[i], start), 0
            np.testing.assert_allclose(state.obs[i], ours[i].obs, rtol=1e-6)
    assert min(ended.values()) > 0


@needs_brax
def test_what_a_task_gives_up_has_failed() -> None:
    task = BraxTask(Hopeless(bound=2.0))
    state = jax.vmap(task.reset)(jax.random.split(jax.random.PRNGKey(0), 2))
    assert jax.vmap(task.step)(state, jnp.array([[-1.0], [1.0]])).done.tolist() == [0.0, 1.0]


@needs_brax
def test_a_step_that_breaks_ends_the_episode() -> None:
    task = BraxTask(Broken(steps=0.5))
    state = jax.vmap(task.reset)(jax.random.split(jax.random.PRNGKey(0), 64))
    after = jax.vmap(task.step)(state, jnp.zeros((64, 1)))
    broken = np.asarray(after.done) == 1
    assert 0 < broken.sum() < 64
    for leaf in (after.obs, after.reward, after.pipeline_state.obs, after.pipeline_state.data["x"]):
        assert np.isfinite(leaf).all()
    assert (np.asarray(after.reward)[broken] == 0).all()
    np.testing.assert_array_equal(np.asarray(after.obs)[broken], np.asarray(state.obs)[broken])


@needs_brax
def test_the_program_writes_what_it_did(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(registry._FACTORIES, "test/chain", (Chain, "test"))
    monkeypatch.setitem(brax_settings.SAC, "chain", (32, 8, 1e-3, 0.9, 1.0, False, "here"))
    monkeypatch.setattr(brax_settings, "SAC_SHARED", {"num_envs": 4, "min_replay_size": 8, "max_replay_size": 64})
    run = tmp_path / "deep" / "run"
    args = f"--algorithm sac --env test/chain --minutes 0.01 --eval-envs 2 --devices 1 --run_dir {run}"
    monkeypatch.setattr(sys, "argv", ["program", *args.split()])
    assert brax_trainers.main() == 0
    settings = json.loads((run / "config.json").read_text())["settings"]
    wanted = {"algorithm": "sac", "env": "test/chain", "discounting": 0.9, "num_envs": 4, "devices": 1, "eval_envs": 2}
    assert wanted.items() <= settings.items()
    assert settings["source"] == "here, published for chain"
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(curve(run))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--minutes 0", "minutes"),
        ("--eval_envs -1", "eval_envs"),
        ("--eval_seconds nan", "eval_seconds"),
        ("--seed -1", "seed"),
        ("--algorithm td3", "td3"),
        pytest.param("--env cartpole", "discrete", marks=needs_brax),
        pytest.param("--env inverted_pendulum --devices -2", "devices", marks=needs_brax),
        pytest.param("--env inverted_pendulum --like hopper", "like", marks=needs_brax),
    ],
)
def test_bad_input_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, args: str, words: str) -> None:
    run = tmp_path / "run"
    assert words in refusal(monkeypatch, brax_trainers, "--run_dir", run, *args.split())
    assert not run.exists()


def test_without_brax_one_line_says_what_to_install(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brax.envs", None)
    monkeypatch.setattr(sys, "argv", ["program", "--run_dir", str(tmp_path / "run")])
    with pytest.raises(UserError, match=r"pip install -e '\.\[brax\]' in the clone"):
        brax_trainers.main()


def test_published_settings_are_found_by_task() -> None:
    ant = brax_settings.hyper_parameters("ppo", "paper/ant")
    assert ant == brax_settings.hyper_parameters("ppo", "humanoid", "ant")
    assert (ant["num_envs"], ant["batch_size"], ant["num_minibatches"]) == (4096, 2048, 32)
    assert brax_settings.schedule(ant) == (0, 2048 * 32 * 5, 32 * 4)
    hopper = brax_settings.hyper_parameters("sac", "hopper")
    assert (hopper["grad_updates_per_step"], hopper["reward_scaling"]) == (64, 30.0)
    assert brax_settings.schedule(hopper) == (8192, 128, 64)
    assert "Playground" in brax_settings.hyper_parameters("ppo", "hopper")["source"]
    with pytest.raises(UserError, match="suite"):
        brax_settings.hyper_parameters("sac", "ant", "humanoid")


def test_the_clock_counts_nested_compilation_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    clock = CompileClock()
    clock.pause()
    assert clock.train_seconds == 0.0
    clock.resume()
    clock.listen("/jax/core/compile/backend_compile_duration", 1.0, 2.0)
    clock.listen("/jax/core/compile/jaxpr_trace_duration", 0.5, 3.0)  # the one before was inside
    clock.listen("/jax/core/compile/jaxpr_to_mlir_module_duration", 3.0, 3.5)
    clock.listen("/jax/checkpoint/write/duration", 3.5, 9.0)
    assert clock.compile_seconds == 3.0
    now = 110.0
    clock.pause()
    assert clock.train_seconds == 7.0
    now = 200.0
    clock.resume()
    now = 201.0
    clock.pause()
    assert clock.train_seconds == 8.0
