"""What may happen while a run goes on: it diverges, the disk fills, its reader goes away, somebody wants to stop it."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import State
from awr_mjx.train import main
from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.evaluation import Evaluator
from awr_mjx.train.engine.loop import Loop, TrainState
from tests import runs
from tests.runs import begun, training
from tests.tasks import Broken, Chain
from tests.trained import ended, wait_for

SMALL = [*runs.SMALL, "--devices", "1"]
PER_ITERATION = 16 * 8

# A task whose evaluation takes for ever: nothing ends its episodes but a time limit that is very far away.
ENDLESS = """
import sys
from awr_mjx.envs import registry
from awr_mjx.envs.base import State
from tests.tasks import Chain
from awr_mjx.train.console.errors import run_program
from awr_mjx.train.main import main
registry.register("endless", lambda: Chain(4, "never", episode_length=2_000_000_000))
run_program(main)
"""


def logged(run: pathlib.Path) -> list[dict[str, float]]:
    """The lines of a run's log, each of which is strict JSON: no NaN, no Infinity."""

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    text = (run / "metrics.jsonl").read_text()
    return [json.loads(line, parse_constant=refuse) for line in text.splitlines()]


def summary(run: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return found


def failed(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """The run ended with status 1 and one line on stderr, which has these words."""
    assert done.returncode == 1, (done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]
    return lines[0]


def test_a_learner_that_diverges_stops_the_run_and_is_never_saved(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    done = ended(main, *SMALL, "--policy_lr", "1e30", "--num_steps", 40 * PER_ITERATION, "--run_dir", run)
    failed(done, "diverged", "policy", "lower --policy_lr", str(run / "checkpoints" / "0"))
    assert restoring.steps(run) == [0]
    assert summary(run)["finished"] is False
    assert "diverged" in summary(run)["why"]
    assert 0 < len(logged(run)) < 40


def test_parameters_that_are_finite_but_of_no_use_have_diverged(tmp_path: pathlib.Path) -> None:
    """One step of Adam of that size; what comes out of the network is not finite."""
    run = tmp_path / "run"
    args = ["--policy_lr", "1e30", "--policy_updates", 1, "--num_steps", PER_ITERATION, "--run_dir", run]
    failed(ended(main, *SMALL, *args), "diverged", "far too large", "lower --policy_lr")
    assert restoring.steps(run) == [0]


def test_a_run_that_diverges_late_names_its_last_sound_checkpoint(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The critic is spoilt in the sixth iteration, after two evaluations of four."""
    whole = Loop.iteration

    def spoilt(loop: Loop, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        state, metrics = whole(loop, state)
        factor = jnp.where(state.counts.iterations.low >= 6, jnp.inf, 1.0)
        value = jax.tree.map(lambda x: x * factor, state.learner.value)
        return state.replace(learner=state.learner.replace(value=value)), metrics  # type: ignore[attr-defined]

    monkeypatch.setattr(Loop, "iteration", spoilt)
    run = tmp_path / "run"
    done = ended(main, *SMALL, "--num_evals", 4, "--num_steps", 10 * PER_ITERATION, "--run_dir", run)
    failed(done, "diverged", "lower --value_lr", str(run / "checkpoints" / str(5 * PER_ITERATION)))
    assert restoring.steps(run) == [0, 3 * PER_ITERATION, 5 * PER_ITERATION]
    assert summary(run)["finished"] is False


def test_a_task_that_breaks_in_every_step_stops_the_run(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._FACTORIES, "broken", (lambda: Broken(steps=1.0), "registered"))
    run = tmp_path / "run"
    args = [*SMALL, "--env", "broken", "--num_steps", 40 * PER_ITERATION, "--run_dir", run]
    failed(ended(main, *args), "every step", "python -m train.check")
    assert restoring.steps(run) == [0]
    assert len(logged(run)) < 40
    assert summary(run)["finished"] is False


def test_a_task_that_raises_on_the_host_breaks_off_with_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A simulator of the user's own, behind a callback, that fails in mid-training."""
    run, calls = tmp_path / "run", []

    def simulate(obs: Any) -> Any:
        calls.append(1)
        if len(restoring.steps(run)) > 1:
            raise ValueError("the simulator\nis gone")
        return np.asarray(obs, np.float32)

    class Hosted(Chain):
        def step(self, state: State, action: jax.Array) -> State:
            after = super().step(state, action)
            kind = jax.ShapeDtypeStruct(after.obs.shape, after.obs.dtype)
            return after.replace(obs=jax.pure_callback(simulate, kind, after.obs, vmap_method="expand_dims"))  # type: ignore[attr-defined]

    monkeypatch.setitem(registry._FACTORIES, "hosted", (Hosted, "registered"))
    args = [*SMALL, "--env", "hosted", "--num_evals", 4, "--num_steps", 40 * PER_ITERATION, "--run_dir", run]
    failed(ended(main, *args), "training broke off", "is gone", f"--resume {run}")
    assert calls
    assert len(restoring.steps(run)) > 1


def test_a_callback_that_raises_within_the_call_breaks_off_with_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small program may be run by the call to it, which raises another kind of error from the second call on."""
    calls = []

    def simulate(x: Any) -> Any:
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("the simulator\nis gone")
        return np.asarray(x)

    program = jax.jit(lambda x: jax.pure_callback(simulate, jax.ShapeDtypeStruct((3,), np.float32), x))
    program(np.ones(3, np.float32))

    def unless(*args: Any) -> Any:
        return program(np.ones(3, np.float32))

    monkeypatch.setattr(Evaluator, "unless", unless)
    run = tmp_path / "run"
    failed(ended(main, *SMALL, "--num_evals", 4, "--run_dir", run), "training broke off", "is gone", f"--resume {run}")


def test_a_full_disk_never_stops_training(tmp_path: pathlib.Path) -> None:
    """Every write past 20 KiB fails, for 100 iterations: the log, TensorBoard's and the checkpoints' with the ring."""
    run, steps = tmp_path / "run", 100 * 512 * 8
    command = ["bash", "-c", 'ulimit -f 20; exec "$@"', "bash", sys.executable, "-m", "train.main", *SMALL]
    command += ["--num_envs", "512", "--num_evals", "2", "--num_steps", str(steps), "--run_dir", str(run)]
    env = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}  # or half a program is there for all others to find
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=env)
    assert "Traceback" not in done.stderr
    words = done.stdout + done.stderr
    assert f"{steps:,} env steps: mode return" in words
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith(f"error: {steps:,} of {steps:,} env steps")
    assert "are not saved" in done.stderr.splitlines()[-1] and "ship:" not in words
    assert words.count("a checkpoint could not be saved") >= 2
    for what in ("metrics.jsonl", "TensorBoard"):
        (line,) = [line for line in words.splitlines() if what in line]
        assert line.startswith("warning: "), line
        assert "File too large" in line


def test_a_reader_that_goes_away_does_not_stop_training(tmp_path: pathlib.Path) -> None:
    """As in `train.main ... | head -1`, and with nobody to read the warnings either."""
    run = tmp_path / "run"
    args = ["--num_evals", 4, "--num_steps", 8 * PER_ITERATION, "--run_dir", run]
    with training(*SMALL, *args, env=os.environ | {"PYTHONIOENCODING": "ascii"}) as process:
        assert process.stdout
        assert process.stderr
        assert "cartpole" in process.stdout.readline()
        process.stdout.close()
        process.stderr.close()
        assert process.wait(240) == 0
        assert summary(run)["finished"] is True
        assert restoring.steps(run)[-1] == 8 * PER_ITERATION


def test_a_closed_terminal_saves_and_stops(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    with training(*SMALL, "--num_steps", 1_000_000_000, "--run_dir", run) as process:
        wait_for(lambda: begun(run))
        process.send_signal(signal.SIGHUP)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "stopped by SIGHUP" in out
        assert restoring.steps(run) == [0, logged(run)[-1]["env_steps"]]


def test_a_signal_while_compiling_ends_at_once(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    args = ["--env", "hopper", "--num_envs", 64, "--batch_size", 64, "--run_dir", run]
    with training(*args, env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"}) as process:
        assert process.stdout
        while not (line := process.stdout.readline()).startswith("memory: "):
            assert line
        time.sleep(2)
        asked = time.monotonic()
        process.terminate()
        out, err = process.communicate(timeout=60)
        assert time.monotonic() - asked < 3
        assert process.returncode == 128 + signal.SIGTERM
        assert (out + err).strip().splitlines()[-1] == "stopped by SIGTERM before anything was trained: nothing is lost"
        assert not restoring.steps(run)


def test_a_signal_while_evaluating_saves_at_once(tmp_path: pathlib.Path) -> None:
    run = tmp_path / "run"
    args = [*SMALL, "--env", "endless", "--num_steps", PER_ITERATION, "--run_dir", run]
    out = runs.stopped_while_evaluating(ENDLESS, run, *args)
    assert len([line for line in out.splitlines() if "stopped by SIGTERM" in line]) == 1
    assert restoring.steps(run) == [0, PER_ITERATION]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_reader_that_does_not_read_holds_nothing_up(tmp_path: pathlib.Path, number: signal.Signals) -> None:
    """As in a pipe into a paused `less`, full from the start."""
    run = tmp_path / "run"
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    os.set_blocking(writer, True)
    args = [*SMALL, "--num_steps", 1_000_000_000, "--run_dir", run]
    with training(*args, stdout=writer, stderr=writer) as process:
        wait_for(lambda: begun(run))
        process.send_signal(number)
        assert process.wait(60) == 0
    os.close(reader)
    os.close(writer)
    assert restoring.steps(run) == [0, logged(run)[-1]["env_steps"]]


def goes_on_anew(run: pathlib.Path, out: str) -> int:
    """The folder `run` was made anew by the training that said `out`, and can go on; returns from which env step."""
    assert f"warning: {run} was moved or removed; it is made anew" in out
    (step,) = restoring.steps(run)
    done = runs.here(main.main, "--resume", run, "--num_steps", step + PER_ITERATION)
    assert done.returncode == 0, done.stderr
    assert f"goes on from {step:,} env steps" in done.stdout
    return step


@pytest.mark.parametrize("removed", [False, True])
def test_a_working_directory_that_is_moved_takes_nothing_along(tmp_path: pathlib.Path, removed: bool) -> None:
    """Its folder is made anew where it was, whole, and the run goes on from there."""
    here, run = tmp_path / "here", tmp_path / "here" / "run"
    here.mkdir()
    path = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[3])}
    with training(*SMALL, "--num_steps", 1_000_000_000, "--run_dir", "run", cwd=here, env=path) as process:
        wait_for(lambda: begun(run))
        here.rename(tmp_path / "moved")
        if removed:
            shutil.rmtree(tmp_path / "moved")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    goes_on_anew(run, out)


def test_a_run_folder_that_is_moved_meanwhile_is_made_anew(tmp_path: pathlib.Path) -> None:
    """What was learned since is in the new one, from where it can go on."""
    run = tmp_path / "run"
    with training(*SMALL, "--num_steps", 1_000_000_000, "--run_dir", run) as process:
        wait_for(lambda: begun(run))
        run.rename(tmp_path / "moved")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert goes_on_anew(run, out) == logged(tmp_path / "moved")[-1]["env_steps"]
