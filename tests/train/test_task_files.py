"""A run whose task is made of files, a robot and clips: what becomes of it where these are moved, or change."""

import json
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.base import UnknownTask
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.train import evaluate, export, main, record, render, report, transfer, watch
from tests import runs
from tests.runs import copied, everything, here, refused
from tests.tasks import Chain

Done = subprocess.CompletedProcess[str]
FILES = ("robot.xml", "walk.npz", "turn.npz")


def chain(robot: str = "", clip: tuple[str, ...] = ()) -> Chain:
    """A task of which a robot and clips must be there, and of which they mean nothing."""
    for path in (robot, *clip):
        if not pathlib.Path(path).is_file():
            raise UnknownTask(f"there is no file {path}")
    return Chain()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """A folder with a run, and the files that its task was made of."""
    place = tmp_path_factory.mktemp("trained")
    for name in FILES[1:]:
        (place / name).write_text(f"this is {name}")
    (place / "robot.xml").write_text('<mujoco><include file="leg.xml"/></mujoco>')
    (place / "leg.xml").write_text("<mujoco/>")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
        registry.register("chain", chain)
        patch.chdir(place)  # the run keeps whole paths
        given = ["--env.robot", "robot.xml", "--env.clip", "walk.npz", "turn.npz"]
        runs.train(place / "run", 1, "--env", "chain", *given, "--devices", "1")
        patch.chdir(place.parent)
        yield place


@pytest.fixture
def place(trained: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """The same, to be changed; its run still means the files of `trained`."""
    return copied(trained, tmp_path / "copy")


def resume(run: pathlib.Path, *args: object) -> Done:
    return here(main.main, "--resume", run, "--num_steps", 2 * runs.PER_ITERATION, *args)


def out(run: pathlib.Path, name: str) -> tuple[str, pathlib.Path]:
    return "--out", run / name


def every_command(run: pathlib.Path, *args: object) -> dict[str, Done]:
    """All commands that build the task of a run."""
    return {
        "evaluate": here(evaluate.main, "--run", run, "--episodes", 2, *args),
        "export": here(export.main, "--run", run, *args),
        "record": here(record.main, "--run", run, "--steps", 8, *out(run, "set.npz"), *args),
        "ring": here(record.main, "--run", run, "--ring", *out(run, "ring.npz"), *args),
        "render": here(render.main, "--run", run, *out(run, "a.png"), *args),
        "watch": here(watch.main, "--run", run, *args),
        "transfer": here(transfer.main, "--run", run, *args),
        "resume": resume(run, *args),
    }


# What comes when the task was built: it can be neither seen nor played elsewhere.
LATER = {"render": "cannot be rendered", "watch": "cannot be watched", "transfer": "follows no environment"}


def means(run: pathlib.Path, robot: pathlib.Path, *clips: pathlib.Path) -> None:
    """Rewrites which files a run says that its task is made of, as if it had been trained on these."""
    content = json.loads((run / "config.json").read_text())
    content["settings"]["task"] |= {"robot": str(robot), "clip": list(map(str, clips))}
    (run / "config.json").write_text(json.dumps(content))


def held(run: pathlib.Path) -> dict[str, tuple[int, int]]:
    """All that a run's folder holds, but for the file that says who trains in it."""
    return {name: value for name, value in everything(run).items() if not name.endswith(".lock")}


def task_of(run: pathlib.Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "config.json").read_text())["settings"]["task"]
    return found


def test_files_that_are_gone_are_one_line_that_says_what_to_pass(place: pathlib.Path) -> None:
    run = place / "run"
    means(run, place / "robot.xml", place / "walk.npz", place / "gone.npz")
    before = held(run)
    for name, done in every_command(run).items():
        refused(
            done, f"{place}/gone.npz", "not there any more: say where it is now with --env.clip, all 2 in this order"
        )
        assert held(run) == before, name
    means(run, place / "gone.xml", place / "walk.npz", place / "turn.npz")
    refused(here(evaluate.main, "--run", run), f"{place}/gone.xml", "say where it is now with --env.robot")
    told = here(report.main, run, *out(run, "report.html"))
    assert told.returncode == 0 and f"no video: {place}/gone.xml" in told.stderr and "--env.robot" in told.stderr


def test_files_that_are_elsewhere_are_named_and_it_goes_on(place: pathlib.Path) -> None:
    run = place / "run"
    means(run, place / "gone.xml", place / "gone.npz", place / "gone2.npz")
    new = ["--env.robot", place / "robot.xml", "--env.clip", place / "walk.npz", place / "turn.npz"]
    refused(
        here(evaluate.main, "--run", run, "--env.robot", place / "robot.xml"), "say where it is now with --env.clip"
    )
    told = here(report.main, run, *out(run, "report.html"), *new)
    assert told.returncode == 0 and "no video: " in told.stderr and LATER["render"] in told.stderr
    for name, done in every_command(run, *new).items():
        if name in LATER:
            refused(done, LATER[name])
        else:
            assert done.returncode == 0 and "warning" not in done.stderr, (name, done.stderr)
    assert task_of(run)["clip"] == [str(place / "walk.npz"), str(place / "turn.npz")]
    assert here(evaluate.main, "--run", run, "--episodes", 2).returncode == 0  # a resume has kept where they are


def test_what_is_named_and_is_not_there_is_told(place: pathlib.Path) -> None:
    run = place / "run"
    for done in (here(evaluate.main, "--run", run, "--env.robot", "no.xml"), resume(run, "--env.robot", "no.xml")):
        refused(done, "there is no file no.xml")


def test_content_that_has_changed_is_told_and_no_training_goes_on_with_it(place: pathlib.Path) -> None:
    run = place / "run"
    means(run, place / "robot.xml", place / "walk.npz", place / "turn.npz")
    (place / "turn.npz").write_text("this is something else")
    words = f"{place}/turn.npz is not the clip that {run} was trained with: its content is another"
    done = here(evaluate.main, "--run", run, "--episodes", 2)
    assert done.returncode == 0 and done.stderr.splitlines() == [f"warning: {words}"]
    refused(resume(run), f"{words}; bring back what it was, or train anew")
    # Clips in another order are others; one alone is not two.
    both = here(evaluate.main, "--run", run, "--episodes", 2, "--env.clip", place / "turn.npz", place / "walk.npz")
    assert len(both.stderr.splitlines()) == 2
    refused(resume(run, "--env.clip", place / "walk.npz"), "trained with 2 --env.clip files, and now there are 1")


def test_what_a_robots_file_includes_is_told_too(place: pathlib.Path) -> None:
    run = place / "run"
    means(run, place / "robot.xml", place / "walk.npz", place / "turn.npz")
    assert here(evaluate.main, "--run", run, "--episodes", 2).stderr == ""
    (place / "leg.xml").write_text("<mujoco> </mujoco>")
    words = f"{place}/robot.xml reads other files, and {place}/leg.xml is not what {run} was trained with"
    done = here(evaluate.main, "--run", run, "--episodes", 2)
    assert done.returncode == 0 and done.stderr.splitlines() == [f"warning: {words}"]
    refused(resume(run), f"{words}; bring back what it was, or train anew")
    content = json.loads((run / "config.json").read_text())
    del content["about"]["files"]["parts"]  # a run of before, which knows of the one file alone
    (run / "config.json").write_text(json.dumps(content))
    assert here(evaluate.main, "--run", run, "--episodes", 2).stderr == ""


def test_runs_of_before_say_nothing_of_content(place: pathlib.Path) -> None:
    run = place / "run"
    content = json.loads((run / "config.json").read_text())
    assert len(content["about"].pop("files")["clip"]) == 2
    (run / "config.json").write_text(json.dumps(content))
    (place / "turn.npz").write_text("this is something else")
    means(run, place / "robot.xml", place / "walk.npz", place / "turn.npz")
    done = here(evaluate.main, "--run", run, "--episodes", 2)
    assert done.returncode == 0 and done.stderr == ""


def test_options_that_are_no_files_still_cannot_change(place: pathlib.Path) -> None:
    refused(resume(place / "run", "--env.touch", "hand"), "cannot change when a run is resumed: env.touch")


def test_names_of_what_the_project_brings_are_no_files(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("humanoid", "march"):
        (tmp_path / name).mkdir()
    (tmp_path / "walk.npz").touch()
    assert TaskOptions(robot="humanoid", clip=("march", "walk.npz", "no.npz")).placed() == TaskOptions(
        robot="humanoid", clip=("march", str(tmp_path / "walk.npz"), "no.npz")
    )
