"""The commands with which a training ends can be typed."""

import pathlib
import sys
import types
from typing import Any

import pytest

from awr_mjx.train.console.commands import TASKS
from awr_mjx.train.engine.closing import next_steps
from tests.tasks import Chain

RUN = pathlib.Path("checkpoints/a run")


def test_a_task_that_every_program_knows() -> None:
    class Drawn(Chain):
        def picture(self, *_: Any) -> None:
            pass

    ship = "ship:  python -m train.export --run 'checkpoints/a run' --out policy.npz"
    assert next_steps(RUN, "cartpole", Chain(), stopped=False) == [ship]
    look = "look:  python -m train.render --run 'checkpoints/a run' --out lunar_lander.mp4"
    assert next_steps(RUN, "lunar_lander", Drawn(), stopped=False) == [look, ship]
    go_on = "go on: python -m train.main --resume 'checkpoints/a run'"
    assert next_steps(RUN, "brax/ant", Chain(), stopped=True) == [go_on, ship]


def test_a_task_of_the_users_own_comes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    program = types.SimpleNamespace(__file__="my programs/mine.py", __spec__=None)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "__main__", program)
        go_on, ship = next_steps(RUN, "mine", Chain(), stopped=True)
    assert go_on == "go on: python -m train.main --tasks 'my programs/mine.py' --resume 'checkpoints/a run'"
    assert ship.startswith("ship:  python -m train.export --tasks 'my programs/mine.py' ")
    monkeypatch.setenv(TASKS, "/tasks.py")
    assert next_steps(RUN, "mine", Chain(), stopped=False)[0].startswith("ship:  python -m train.export --tasks /tasks")


def test_paths_below_the_working_folder_are_short(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (ship,) = next_steps(tmp_path / "checkpoints" / "run", "mine", Chain(), stopped=False)
    assert ship == "ship:  python -m train.export --run checkpoints/run --out policy.npz"
    (ship,) = next_steps(tmp_path.parent / "run", "mine", Chain(), stopped=False)
    assert ship == f"ship:  python -m train.export --run {tmp_path.parent / 'run'} --out policy.npz"
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert next_steps(gone / "run", "mine", Chain(), stopped=False)[0].endswith(
        f"--run {gone / 'run'} --out policy.npz"
    )
