"""Every command that README and docs tell one to type works, on something small: `make test-slow`."""

import os
import pathlib
import re
import shlex
import signal
import subprocess
import sys

import pytest

from awr_mjx.train.console.commands import module
from awr_mjx.train.datasets import minari_format
from tests import typed
from tests.runs import running
from tests.test_readme import PAGES, ROOT, commands
from tests.trained import free_port

pytestmark = pytest.mark.slow
# What decisions.md tells of was done at commits of long ago.
WALKED = [page for page in PAGES if page.name != "decisions.md"]


def every() -> list[tuple[str, ...]]:
    """Page and command, each command once on each of two kinds of page; names alone are mentions."""
    found: dict[tuple[bool, str], tuple[str, ...]] = {}
    for page in WALKED:
        for command in commands(page):
            if any(arg.startswith("--") for arg in command) or command[0] == "play" or len(command) > 2:
                key = page.name == "imitation.md", shlex.join(command)
                found.setdefault(key, (page.name, *command))
    return list(found.values())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with everything that the commands name."""
    found = tmp_path_factory.mktemp("typed")
    typed.furnish(found)
    return found


@pytest.mark.parametrize("line", every(), ids=shlex.join)
def test_a_command_works(line: tuple[str, ...], place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, name, *args = line
    if why := typed.missing([name, *args]):
        pytest.skip(why)
    monkeypatch.chdir(place)
    args = typed.small(page, name, args, place)
    if name == "watch" or (name == "play" and args and "--out" not in args):
        return serves(name, args)
    before = {path.name for path in place.iterdir()}
    done = ended(["-m", module(name), *args])
    if done.returncode == 2 and "cannot render here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, f"{shlex.join(args)}: {done.stderr}"
    out = args[args.index("--out") + 1] if "--out" in args else None
    if out:
        assert (place / out).exists() or "/" in out
    elif name == "train" and "list" not in args and "--resume" not in args:
        assert len({path.name for path in place.iterdir()} - before) == 1
    else:
        assert done.stdout


def ended(args: list[str]) -> subprocess.CompletedProcess[str]:
    """Python in a process of its own, as a user starts it: what it draws with is chosen but once in a process."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), minari_format.ROOT: "minari"}  # not the user's own sets
    command = [sys.executable, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=environment)


def serves(name: str, args: list[str]) -> None:
    """It says where its page is, and ends when it is asked to."""
    pytest.importorskip("mjviser")
    if "--port" not in args:
        args += ["--port", str(free_port())]
    with running([sys.executable, "-m", module(name), *args]) as process:
        assert process.stdout
        assert "http://" in next(line for line in process.stdout if "http" in line)
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM


def test_the_python_of_the_readme_works(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "train(" in block)
    small = 'train("inverted_pendulum", num_steps=512, eval_envs=2, num_evals=1, quiet=True, minutes=3)'
    assert 'train("hopper", minutes=3)' in block
    monkeypatch.chdir(place)
    done = ended(["-c", block.replace('train("hopper", minutes=3)', small).replace('.mp4")', '.gif", seconds=0.2)')])
    assert done.returncode == 0, done.stderr
    assert (place / "hopper.gif").exists()


def test_the_walk_finds_what_the_pages_are_about() -> None:
    found = [" ".join(line[1:]) for line in every()]
    assert len(found) > 70
    for wanted in ("train --data", "train --from", "train --resume", "record", "data fqe", "clip convert"):
        assert any(line.startswith(wanted) for line in found), wanted
