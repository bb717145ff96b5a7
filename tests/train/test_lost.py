"""Run folders in which something is not there any more, or not what it was: said in one line, and nothing else goes."""

import json
import pathlib
import shutil

import pytest

from awr_mjx.train.engine import checkpoint_format, restoring
from awr_mjx.train.main import main
from tests.runs import PER_ITERATION, copied, everything, here, refused, train

MORE = ("--num_steps", 4 * PER_ITERATION)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    run = tmp_path_factory.mktemp("lost") / "run"
    train(run, 2)
    return run


@pytest.fixture
def run(finished: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return copied(finished, tmp_path / "run")


def test_checkpoints_that_are_gone_do_not_start_a_run_anew(run: pathlib.Path) -> None:
    shutil.rmtree(checkpoint_format.folder(run))
    before = everything(run)
    refused(here(main, "--resume", run, *MORE), f"trained for {2 * PER_ITERATION:,}", "bring", "checkpoints")
    assert everything(run).keys() == before.keys()
    assert (run / "metrics.jsonl").read_text().count("\n") == 3


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_a_link_that_leads_nowhere_is_said(run: pathlib.Path, name: str) -> None:
    """As to a disk that is not mounted."""
    shutil.rmtree(run / name)
    (run / name).symlink_to("/mnt/gone")
    log = (run / "metrics.jsonl").read_text()
    refused(here(main, "--resume", run, *MORE), name, "a link to /mnt/gone")
    assert (run / "metrics.jsonl").read_text() == log
    assert (run / "summary.json").exists()


@pytest.mark.parametrize(
    "line",
    [b"\xff\xfe", b"123", b"null", b"[]", b'{"env_steps": "many"}', b'{"env_steps": 256, "mode_return": null}'],
)
def test_spoilt_lines_of_the_log_are_left_out(run: pathlib.Path, line: bytes) -> None:
    with (run / "metrics.jsonl").open("ab") as log:
        log.write(line + b"\n")
    done = here(main, "--resume", run, *MORE)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["env_steps"] == 4 * PER_ITERATION


def test_what_is_trained_again_is_said(run: pathlib.Path) -> None:
    """A run that lost its newest checkpoints, or was killed long after one, goes on from where the last one left it."""
    shutil.rmtree(checkpoint_format.folder(run) / str(2 * PER_ITERATION))
    done = here(main, "--resume", run, *MORE)
    assert done.returncode == 0, done.stderr
    assert f"{2 * PER_ITERATION:,} more in its log, which no checkpoint has, are trained again" in done.stdout


def test_a_log_that_is_lost_is_said(run: pathlib.Path) -> None:
    (run / "metrics.jsonl").write_text("")
    done = here(main, "--resume", run, *MORE)
    assert done.returncode == 0, done.stderr
    assert "no metrics up to 256 env steps" in done.stderr


def test_a_second_damaged_checkpoint_of_the_same_steps_has_a_name_of_its_own(run: pathlib.Path) -> None:
    place = checkpoint_format.folder(run)
    for name in ("damaged-256", "damaged-256-2"):
        shutil.copytree(place / "256", place / name)
    (place / "256" / "meta" / "metadata").write_text("[]")
    done = here(main, "--resume", run)
    assert done.returncode == 0, done.stderr
    assert "checkpoint 256 is damaged (its meta does not say what it holds)" in done.stderr
    assert (place / "damaged-256-3").is_dir()
    assert restoring.steps(run) == [0, 256]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("num_envs", "16", "num_envs '16', not int"),
        ("minutes", True, "minutes True, not float"),
        ("keep", 3.5, "keep 3.5, not int"),
    ],
)
def test_settings_of_the_wrong_type_are_said(run: pathlib.Path, name: str, value: object, words: str) -> None:
    path = run / "config.json"
    saved = json.loads(path.read_text())
    path.write_text(json.dumps(saved | {"settings": saved["settings"] | {name: value}}))
    refused(here(main, "--resume", run, *MORE), words)


@pytest.mark.parametrize("about", [None, [], {"resumed": 3}, {"packages": None}])
def test_what_a_run_was_trained_with_may_be_missing(run: pathlib.Path, about: object) -> None:
    path = run / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"about": about}))
    done = here(main, "--resume", run, *MORE)
    assert done.returncode == 0, done.stderr
