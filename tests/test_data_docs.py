"""Every command of the page on data does what the page says, on a small task and set."""

import importlib
import pathlib
import re
import shlex
import shutil

import pytest

from awr_mjx.train import main
from awr_mjx.train.console.commands import module
from awr_mjx.train.datasets import minari_format
from tests.runs import here
from tests.test_readme import ROOT
from tests.trained import make_run

PAGE = (ROOT / "docs" / "data.md").read_text()
# In place of a hopper and large sets: what is quick and has its sizes.
SMALL = "--policy_hidden 8 --value_hidden 8 --batch_size 32 --policy_updates 6 --value_updates 4 --num_evals 1".split()
INSTEAD = {"hopper": "inverted_pendulum", "1_000_000": "300", "100_000": "200"}


def typed() -> list[str]:
    """The commands of the page with SET, RUN and the like in them, as one would type them."""
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    lines = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", PAGE.replace("```", ""))]
    return list(dict.fromkeys(line for line in [*lines, *spans] if line.startswith("awr-mjx ")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A run online, its recording, and a run on that."""
    place = tmp_path_factory.mktemp("page")
    online = [*SMALL, "--num_envs", 8, "--rollout_steps", 8, "--buffer_blocks", 8, "--eval_envs", 2]
    done = here(main.main, "--env", "inverted_pendulum", *online, "--num_steps", 512, "--run_dir", place / "RUN")
    assert done.returncode == 0, done.stderr
    run("awr-mjx record --run RUN --steps 1_000_000 --out SET.npz", place)
    for name in ("GOOD", "BAD", "SET"):
        shutil.copy(place / "SET.npz", place / name)
    return place


def run(line: str, folder: pathlib.Path) -> str:
    """Does in `folder` what a line of the page says, and returns what that printed."""
    _, name, *args = shlex.split(line)
    if "--env.physics" in args:  # the pendulum has no other
        if not (folder / "HOPPER").exists():
            make_run(folder / "HOPPER", "hopper")
        args[args.index("RUN")] = "HOPPER"
    args = [INSTEAD.get(arg, arg.replace("hopper/", "pendulum/")) for arg in args]
    args += ["--steps", "50", "--networks", "2"] if "fqe" in args else []
    args += ["--steps", "200"] if name == "record" and not {"--steps", "--ring"} & set(args) else []
    if name == "train":
        known = "--from" in args or "--data" in args
        assert known, line
        args += [*SMALL, "--num_steps", "128" if "--from" in args else "20", "--eval_envs", "2"]
        args += ["--num_envs", "8", "--rollout_steps", "8", "--buffer_blocks", "2"] if "--from" in args else []
        if "--from" in args and args[args.index("--from") + 1] == "SET":
            args += ["--env", "inverted_pendulum"]
        args += ["--run_dir", f"new-{len(list(folder.iterdir()))}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv(minari_format.ROOT, str(folder / "minari"))
        done = here(importlib.import_module(module(name)).main, *args)
    assert done.returncode == 0, f"{line}: {done.stderr}"
    return done.stdout


def test_the_walk_finds_the_commands() -> None:
    found = typed()
    assert len(found) >= 13
    for wanted in ("train --data", "train --from", "record", "data inspect", "data convert", "data weigh", "data fqe"):
        assert any(line.startswith(f"awr-mjx {wanted}") for line in found), wanted


@pytest.mark.parametrize("line", typed())
def test_a_command_of_the_page_works(line: str, folder: pathlib.Path) -> None:
    before = {path.name for path in folder.iterdir()}
    said = run(line, folder)
    out = re.search(r"--out (\S+)", line)
    if out and "/" not in out[1]:
        assert (folder / out[1]).is_file(), line
    elif " train " in line:
        assert len({path.name for path in folder.iterdir()} - before) == 1
    else:
        assert said
