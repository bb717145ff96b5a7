"""`awr-mjx` and a file of one's own tasks: in a folder with files that are called as our packages are."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from awr_mjx.envs import own_tasks, registry
from awr_mjx.train import commands
from awr_mjx.train.console import commands as table
from awr_mjx.train.console.errors import run_program
from tests.trained import refusal

ROOT = pathlib.Path(registry.__file__).parents[2]
# What pip makes of the entry point; like any script it has its own folder on its path, not the working directory.
SCRIPT = "import sys\nfrom awr_mjx.train.commands import run\nsys.exit(run())\n"
TASKS = """
import jax.numpy as jnp
from awr_mjx.envs import registry
from awr_mjx.envs.gym.cartpole import CartPole
from awr_mjx.train.main import main, run_program
import helper_of_mine

TABLE = jnp.arange(3)  # an array made where the module is imported
registry.register("mine", CartPole)
run_program(main)  # so that `python mine.py` trains
"""
SMALL = "--env mine --num_envs 16 --rollout_steps 8 --buffer_blocks 2 --batch_size 64 --policy_updates 2".split()
SMALL += "--value_updates 2 --epoch_iterations 1 --eval_envs 4 --num_evals 1 --num_steps 256".split()


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """A user's folder, with a `train.py`, a package `envs` and a file of tasks; `bin/awr-mjx` is beside it."""
    place = tmp_path / "work"
    (place / "envs").mkdir(parents=True)
    (place / "envs" / "__init__.py").write_text("raise SystemExit('the wrong envs')")
    (place / "train.py").write_text("raise SystemExit('the wrong train')")
    (place / "helper_of_mine.py").touch()
    (place / "mine.py").write_text(TASKS)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "awr-mjx").write_text(SCRIPT)
    return place


def call(folder: pathlib.Path, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder.parent / "bin" / "awr-mjx"), *map(str, args)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_own_tasks_in_a_folder_with_files_called_as_ours(folder: pathlib.Path) -> None:
    done = call(folder, "train", "--tasks", "mine.py", *SMALL, "--run_dir", "run")
    assert done.returncode == 0, done.stderr
    argv = json.loads((folder / "run" / "config.json").read_text())["about"]["argv"]
    assert argv[:2] == ["--tasks", str(folder / "mine.py")]  # it was asked for so, wherever one asks again
    done = call(folder, "evaluate", "--run", "run", "--episodes", 2, "--tasks=mine.py")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "run" / "evaluation.json").read_text())["env"] == "mine"


def test_alone_it_lists_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for args in ([], ["--help"]):
        monkeypatch.setattr(sys, "argv", ["awr-mjx", *args])
        assert commands.main() == 0
        out = capsys.readouterr().out
        assert all(f"awr-mjx {name}" in out for name in table.COMMANDS)


def test_every_program_is_a_command() -> None:
    programs = {f"train.{path.stem}" for path in (ROOT / "awr_mjx" / "train").glob("*.py")} - {
        "train.__init__",
        "train.commands",
    }
    assert {module for module, _ in table.COMMANDS.values()} == programs


def test_a_wrong_command_gets_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(monkeypatch, commands, "rendr").startswith("unknown command 'rendr': did you mean 'render'? ")
    assert "train, play, check, evaluate" in refusal(monkeypatch, commands, "xyzzy")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "there is no file of tasks"),
        ("x = 1\nprint(y)", "mine.py, line 2: NameError: name 'y' is not defined"),
        ("def f(:", "mine.py, line 1: SyntaxError"),
        ("import sys\nsys.exit(0)", "mine.py, line 2: SystemExit: 0"),
        ("x = 1\nimport unreadable_of_mine", "unreadable_of_mine.py, line 3: SyntaxError"),
        ("x = 1\nexec('y = (')", "mine.py, line 2: SyntaxError"),
        ("x = '\0'", "mine.py: SyntaxError: source code string cannot contain null bytes"),
        ("x = 1", "; mine.py registers none"),
        (
            "from awr_mjx.envs import registry\nregistry.register('ant', dict)",
            "mine.py, line 2: BrokenTask: 'ant' is a task of this project",
        ),
    ],
)
def test_a_file_of_tasks_that_cannot_be_read_is_one_line(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, text: str | None, words: str
) -> None:
    monkeypatch.setattr(own_tasks, "_unread", [])
    monkeypatch.setattr(own_tasks, "read_so_far", [])
    if text:
        (tmp_path / "mine.py").write_text(text)
        (tmp_path / "unreadable_of_mine.py").write_text("\n\ndef f(:")
    with pytest.raises(registry.UnknownTask, match="mine") as caught:
        own_tasks.read_later(tmp_path / "mine.py")
        registry.make("mine")
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("given", ["--tasks=~/mine.py", "--tasks ~/mine.py", None])
def test_the_home_folder_of_a_file_of_tasks(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    unread: list[pathlib.Path] = []
    monkeypatch.setattr(own_tasks, "_unread", unread)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(table.TASKS, "elsewhere.py" if given else "~/mine.py")
    monkeypatch.setattr(sys, "argv", ["program", *(given or "").split()])
    with pytest.raises(SystemExit):
        run_program(lambda: 0)
    assert unread == [tmp_path / "mine.py"] and sys.argv == ["program"]


def test_commands_are_written_as_this_one_was_called(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(table.TASKS, raising=False)
    run = tmp_path / "a run"
    monkeypatch.setattr(sys, "argv", ["/x/train/main.py"])
    assert table.command("export", "--run", run) == f"python -m train.export --run '{run}'"
    monkeypatch.setattr(sys, "argv", ["/x/bin/awr-mjx"])
    assert table.command("train", "--resume", "run") == "awr-mjx train --resume run"
    monkeypatch.setenv(table.TASKS, "/x/mine.py")
    assert table.command("train", "--resume", "run") == "awr-mjx train --tasks /x/mine.py --resume run"
