"""The Python interface: what it returns is what the programs give, and bad input is one line before anything starts."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from awr_mjx import api
from awr_mjx.envs import registry
from awr_mjx.train import evaluate
from awr_mjx.train.engine import metrics_log
from awr_mjx.train.engine.guest import Interrupt
from awr_mjx.train.policies import npz_player
from docs.studies import api_page
from tests.runs import restored, same, train
from tests.tasks import Chain
from tests.trained import ended

ROOT = pathlib.Path(api.__file__).parents[2]
SMALL: dict[str, Any] = {
    **{"num_envs": 16, "rollout_steps": 8, "buffer_blocks": 2, "batch_size": 64, "policy_updates": 2},
    **{"value_updates": 2, "epoch_iterations": 1, "eval_envs": 4, "num_evals": 2, "devices": 1},
}
STEPS = 16 * 8 * 4


@pytest.fixture(scope="module")
def told() -> list[tuple[int, dict[str, float]]]:
    return []


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, dict[str, float]]]) -> api.Run:
    place = tmp_path_factory.mktemp("api") / "run"
    listen = lambda steps, values: told.append((steps, values))  # noqa: E731
    return api.train("cartpole", run_dir=place, num_steps=STEPS, on_log=listen, quiet=True, **SMALL)


def test_a_training_is_that_of_the_program(run: api.Run, tmp_path: pathlib.Path) -> None:
    """Every leaf of the last checkpoint, and its log but for the times."""
    train(tmp_path / "run", 4, "--num_evals", "2", "--devices", "1")
    (steps, ours), (others, theirs) = restored(run.folder), restored(tmp_path / "run")
    assert steps == others
    same(ours, theirs)
    assert run.steps[-1] == STEPS and run.summary["env_steps"] == STEPS and run.summary["finished"]


def test_a_listener_is_told_of_all_that_is_logged(run: api.Run, told: list[tuple[int, dict[str, float]]]) -> None:
    lines = metrics_log.lines(run.folder)
    assert sorted(({"env_steps": steps, **values} for steps, values in told), key=metrics_log.step_of) == lines
    steps, values = run.curve()
    assert steps.tolist() == [STEPS / 2, STEPS]
    assert values.tolist() == [line["mode_return"] for line in lines if "mode_return" in line]
    with pytest.raises(api.UserError, match=r"has logged no 'mode_retrun'; it has .*mode_return"):
        run.curve("mode_retrun")


def test_a_policy_plays_as_its_exported_file_does(run: api.Run, tmp_path: pathlib.Path) -> None:
    policy = api.load(run)
    assert api.load(run, step=STEPS // 2).step == STEPS // 2
    assert api.load(run, "best").step in (STEPS // 2, STEPS)
    obs = np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32)
    actions = policy(obs)
    play = npz_player.load(api.export(policy, tmp_path / "policy.npz"))
    assert np.array_equal(actions, [play(one) for one in obs]) and len(set(actions.tolist())) == 2
    assert policy(obs[3].tolist()).shape == () and policy(obs[3]) == actions[3]
    for wrong in (np.zeros(3), np.zeros((2, 5)), np.zeros((1, 2, 4)), 0.0):
        with pytest.raises(api.UserError, match="observations of 4 numbers"):
            policy(wrong)


def test_an_evaluation_is_that_of_the_program(run: api.Run, tmp_path: pathlib.Path) -> None:
    found = api.evaluate(api.load(run), 7, seed=3)
    out = tmp_path / "evaluation.json"
    assert ended(evaluate, "--run", run.folder, "--episodes", 7, "--seed", 3, "--out", out).returncode == 0
    theirs = json.loads(out.read_text())
    assert found.returns.tolist() == theirs["returns"] and found.mean == theirs["return_mean"]
    assert found.std == theirs["return_std"] and found.whole == theirs["whole"] and not found.exact


def test_a_film_is_shown_in_a_notebook(run: api.Run, tmp_path: pathlib.Path) -> None:
    policy = api.load(run)
    with pytest.raises(api.UserError, match=r"film has no second; it has .*seconds"):
        api.film(policy, tmp_path / "x.gif", second=1)
    with pytest.raises(api.UserError, match=r"out must end in \.mp4"):
        api.film(policy, tmp_path / "x.avi")


class Mine(Chain):
    """A task of the user's own."""

    observation_names = ("a", "b", "c", "d")


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))


def test_a_task_of_ones_own_is_an_object(own: None, tmp_path: pathlib.Path) -> None:
    """A listener that has had enough stops it, when the next epoch is under way already; it goes on."""
    place = tmp_path / "run"
    done = api.train(Mine(), run_dir=place, num_steps=STEPS, on_log=lambda *_: True, quiet=True, **SMALL)
    assert done.steps == [0, STEPS // 2] and done.summary["why"] == "stopped by its listener"
    assert api.resume(done, quiet=True).steps[-1] == STEPS
    assert api.load(done).task == "Mine" and api.evaluate(api.load(done), 3).mean == 1.0


def test_what_a_listener_raises_comes_after_the_checkpoint(own: None, tmp_path: pathlib.Path) -> None:
    def listen(steps: int, values: dict[str, float]) -> None:
        raise ZeroDivisionError(steps)

    with pytest.raises(ZeroDivisionError):
        api.train(Mine(), run_dir=tmp_path / "run", num_steps=STEPS, on_log=listen, quiet=True, **SMALL)
    assert api.Run(tmp_path / "run").steps == [0, STEPS // 2]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: api.train("antt"), "did you mean 'ant'"),
        (lambda: api.train("cartpole", num_env=3), "did you mean --num_envs"),
        (lambda: api.train("cartpole", num_envs=0), "num_envs must be a positive number"),
        (lambda: api.train("cartpole", task={"wind": True}), "no option --env.wind"),
        (lambda: api.train("cartpole", variant="rwrr"), "unknown variant"),
        (lambda: api.train("cartpole", data="nowhere.npz"), "nowhere.npz"),
        (lambda: api.load("nowhere"), "nowhere is not a run folder"),
        (lambda: api.resume("nowhere"), "nowhere is not a run folder"),
    ],
)
def test_bad_input_is_one_line(call: Any, words: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert words in str(error.value)


def test_ctrl_c_is_noted_where_there_is_something_to_lose_and_else_an_interrupt() -> None:
    before = signal.getsignal(signal.SIGINT)
    stop = Interrupt()
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        stop.careful = True
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.01)
        assert stop.asked == "Ctrl-C"
        time.sleep(1.1)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    finally:
        stop.close()
    assert signal.getsignal(signal.SIGINT) == before


def test_in_another_thread_ctrl_c_is_left_alone() -> None:
    before, done = signal.getsignal(signal.SIGINT), list[str | None]()

    def listen() -> None:
        stop = Interrupt()
        stop.close()
        done.append(stop.asked)

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert done == [None] and signal.getsignal(signal.SIGINT) == before


def test_beside_other_peoples_packages_of_the_same_names(tmp_path: pathlib.Path) -> None:
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "__init__.py").write_text("WHOSE = 'theirs'")
    (tmp_path / "train.py").write_text("WHOSE = 'theirs'")
    script = (
        "from awr_mjx.api import evaluate, load, train\nimport envs\nimport train as theirs\n"
        f"run = train('cartpole', run_dir='run', num_steps=128, quiet=True, **{SMALL | {'num_evals': 1}})\n"
        "print(envs.WHOSE, theirs.WHOSE, evaluate(load(run, 'best'), 2).returns.size)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "theirs theirs 2\n", done.stderr


def test_everything_in_the_list_is_there_and_has_a_docstring() -> None:
    assert all(getattr(api, name).__doc__ for name in api.__all__)


def test_the_page_of_names_is_made_from_the_code() -> None:
    assert api_page.PAGE.read_text() == api_page.page()
    assert all(f"## {name}" in api_page.page() for name in api.__all__)
