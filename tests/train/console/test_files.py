"""Files that appear whole or not at all."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import replacing, write_json


def test_replacing(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "file"
    out.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(out) as part:
        part.write_text("ne")
        raise KeyboardInterrupt
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
    with replacing(out) as part:
        part.write_text("new")
        assert out.read_text() == "old"
    assert [p.read_text() for p in tmp_path.iterdir()] == ["new"]
    with pytest.raises(UserError, match="it is a folder"), replacing(tmp_path):
        pass
    with pytest.raises(UserError, match="Not a directory"), replacing(out / "below"):
        pass


def test_replacing_touches_no_file_of_the_users(tmp_path: pathlib.Path) -> None:
    out, theirs = tmp_path / "policy.npz", tmp_path / "policy.npz.part"
    theirs.write_text("mine")
    with replacing(out) as part:
        part.write_text("new")
    assert theirs.read_text() == "mine" and out.read_text() == "new"
    with replacing(tmp_path / ("ü" * 120)) as part:  # as long as a name can be
        part.write_text("long")
    assert len(list(tmp_path.iterdir())) == 3


def test_replacing_follows_a_link(tmp_path: pathlib.Path) -> None:
    (tmp_path / "results").mkdir()
    target, link = tmp_path / "results" / "policy.npz", tmp_path / "link.npz"
    link.symlink_to(target)
    for content in ("first", "second"):
        with replacing(link) as part:
            part.write_text(content)
        assert link.is_symlink() and target.read_text() == content
    assert [p.name for p in target.parent.iterdir()] == ["policy.npz"]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="pipe: it is no file"), replacing(tmp_path / "pipe"):
        pass
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(UserError, match="cannot write"), replacing(tmp_path / "round" / "x"):
        pass


def test_json_has_no_word_for_what_is_not_finite(tmp_path: pathlib.Path) -> None:
    nan, inf = float("nan"), float("inf")
    write_json(tmp_path / "a.json", {"a": nan, "b": [1.5, -inf, {"c": (inf, 2, True)}], "d": "nan"})
    text = (tmp_path / "a.json").read_text()
    wanted = {"a": None, "b": [1.5, None, {"c": [None, 2, True]}], "d": "nan"}
    assert json.loads(text, parse_constant=pytest.fail) == wanted


TERMINATED = """
import os, pathlib, signal, sys, time
from awr_mjx.train.console.files import replacing
with replacing(pathlib.Path(sys.argv[1])) as part:
    part.write_text("half")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
"""


def test_what_is_terminated_leaves_nothing_behind(tmp_path: pathlib.Path) -> None:
    done = subprocess.run([sys.executable, "-c", TERMINATED, tmp_path / "film.mp4"], timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGTERM and not list(tmp_path.iterdir())
