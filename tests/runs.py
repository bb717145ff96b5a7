"""Small trainings by `train.main`, and what their run folders hold."""

import contextlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.train.console.errors import run_program
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.main import main
from tests.tasks import leaves_of
from tests.trained import wait_for

SMALL = "--env cartpole --num_envs 16 --rollout_steps 8 --buffer_blocks 2 --batch_size 64 --policy_updates 2".split()
SMALL += "--value_updates 2 --epoch_iterations 1 --eval_envs 4 --num_evals 1".split()
PER_ITERATION = 16 * 8

Done = subprocess.CompletedProcess[str]


def program(*args: object, module: str = "train.main", **more: Any) -> Done:
    """A program in a process of its own."""
    command = [sys.executable, "-m", module, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, **more)


@contextlib.contextmanager
def running(command: Sequence[object], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that goes on while the test does, and does not outlive it; its stdout and stderr can be read."""
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    with subprocess.Popen([*map(str, command)], text=True, **piped) as process:  # closes its pipes
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def training(*args: object, **more: Any) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """`running` train.main."""
    return running([sys.executable, "-m", "train.main", *args], **more)


def stopped_while_evaluating(script: str, run: pathlib.Path, *args: object) -> str:
    """Asks a training whose evaluation takes for ever to stop; returns what it has said, which ended soon and well."""
    root = str(pathlib.Path(__file__).parents[1])
    command = [sys.executable, "-c", script, *args]
    with running(command, env=os.environ | {"PYTHONPATH": root}) as process:
        wait_for(lambda: begun(run))
        time.sleep(5)
        asked = time.monotonic()
        process.terminate()
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - asked < 10
        assert process.returncode == 0, err
        return out


def begun(run: pathlib.Path) -> bool:
    """The log has lines."""
    return (run / "metrics.jsonl").exists() and (run / "metrics.jsonl").stat().st_size > 0


def here(main: Callable[[], int], *args: object) -> Done:
    """The same in this process: seconds quicker per call."""
    out, err = io.StringIO(), io.StringIO()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", ["program", *map(str, args)])
            with pytest.raises(SystemExit) as stop:
                run_program(main)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return subprocess.CompletedProcess(sys.argv, int(stop.value.code or 0), out.getvalue(), err.getvalue())


def train(run: pathlib.Path, iterations: int, *args: object) -> Done:
    """Trains SMALL in this process."""
    done = here(main, *SMALL, "--num_steps", iterations * PER_ITERATION, "--run_dir", run, *args)
    assert done.returncode == 0, done.stderr
    return done


def refused(done: Done, *words: str) -> None:
    """The program said one line on stderr, with these words in it, and ended with status 2."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: "), lines
    for word in words:
        assert word in lines[0], lines[0]
    assert "compiled" not in done.stdout


def restored(run: pathlib.Path) -> tuple[int, dict[str, np.ndarray]]:
    """Env steps and every leaf of the newest state of a run, of which nothing is damaged."""
    config = settings.read(run)
    loop = Loop(registry.make(config.env), config.awr, config.num_envs, config.epoch_iterations)
    step, state, warnings = restoring.restore(run, jax.eval_shape(lambda: loop.init(0)))
    assert not warnings
    return step, leaves_of(state)


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    """Every leaf is equal, bit for bit."""
    assert a.keys() == b.keys()
    assert len(a) > 50
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)


def copied(run: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    """A copy of a run folder."""
    subprocess.run(["cp", "-r", run, to], check=True)
    return to


def everything(run: pathlib.Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file, to see whether anything was touched."""
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in sorted(run.rglob("*"))}


def about(run: pathlib.Path) -> dict[str, Any]:
    """What `config.json` says about where a run was trained."""
    return dict(json.loads((run / "config.json").read_text())["about"])
