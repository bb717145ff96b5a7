"""What the program for clips refuses: in one line, with nothing written."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from awr_mjx.envs.imitation import mjcf
from awr_mjx.envs.imitation.clips import Clip
from awr_mjx.train import clip
from tests.envs.imitation.made import robot_file, still
from tests.runs import here, refused

ROW = "0,0,1,1,0,0,0\n"  # a root's place and its quaternion


def broken(folder: pathlib.Path, how: Callable[[Clip], Any]) -> None:
    """`bad.npz` is the clip that `robot.xml` stands in, changed."""
    made = still(mjcf.character(folder / "robot.xml"))
    given = how(made)
    (given if isinstance(given, Clip) else made).save(folder / "bad.npz")


def set_row(place: Any, value: float) -> Callable[[Clip], None]:
    def change(made: Clip) -> None:
        made.qpos[place] = value

    return change


def two(folder: pathlib.Path) -> None:
    text = (folder / "robot.xml").read_text()
    more = "<body><freejoint/><geom size='0.1'/></body></worldbody>"
    (folder / "two.xml").write_text(text.replace("</worldbody>", more))


def truncated(folder: pathlib.Path) -> None:
    broken(folder, lambda made: made)
    place = folder / "bad.npz"
    place.write_bytes(place.read_bytes()[:-500])


BAD: list[tuple[str, Callable[[pathlib.Path], Any], str]] = [
    ("none.npz", lambda folder: None, "there is no file none.npz"),
    ("folder.npz", lambda folder: (folder / "folder.npz").mkdir(), "folder.npz is a folder"),
    ("bad.npz", lambda folder: (folder / "bad.npz").touch(), "bad.npz cannot be read"),
    (
        "bad.npz",
        lambda folder: broken(folder, lambda c: dataclasses.replace(c, joint_names=("root", "b"))),
        "other joints",
    ),
    ("bad.npz", lambda folder: broken(folder, set_row((3, 3), 1.1)), "a quaternion of length 1.1 in frame 3"),
    ("bad.npz", lambda folder: broken(folder, set_row((3, 8), np.nan)), "not finite in 1 of 31 frames, first in 3"),
    ("bad.npz", lambda folder: broken(folder, lambda c: dataclasses.replace(c, qpos=c.qpos[:1])), "has 1 frame: "),
    ("bad.npz", lambda folder: broken(folder, lambda c: dataclasses.replace(c, fps=0.0)), "has 0 frames per second"),
    ("a.csv", lambda folder: (folder / "a.csv").write_text(ROW * 3), "does not say how many frames a second has"),
    ("a.csv --fps 30", lambda folder: (folder / "a.csv").write_text(ROW * 3), "has 0 joint angles a frame"),
    ("bad.npz --fps 60", lambda folder: broken(folder, lambda c: c), "says that it has 30 frames per second"),
    (
        "bad.npz --quaternion wxyz",
        lambda folder: broken(folder, lambda c: c),
        "bad.npz is known: leave --quaternion out",
    ),
    ("bad.npz", truncated, "bad.npz cannot be read"),
    ("a.csv", lambda folder: (folder / "a.csv").write_text("x,y\n0,1\n"), "without a header"),
    (
        "a.pkl",
        lambda folder: (folder / "a.pkl").write_bytes(b"cposix\nsystem\n(S'touch mark'\ntR."),
        "would run posix.system",
    ),
    ("robot.xml --robot none.xml", lambda folder: None, "there is no file none.xml"),
    ("march --robot two.xml", two, "has 2 free joints"),
    (
        "march --robot robot.xml",
        lambda folder: None,
        "the march is one of our own humanoid: leave --robot robot.xml out",
    ),
    ("march --fps 60", lambda folder: None, "leave --fps and --quaternion out"),
    ("march --fps 0", lambda folder: None, "fps must be from 1 to 2000, not 0"),
    ("march --fps nan", lambda folder: None, "fps must be from 1 to 2000, not nan"),
    ("march --quaternion zyxw", lambda folder: None, "zyxw"),
]


@pytest.mark.parametrize("kind", ["check", "convert", "preview"])
@pytest.mark.parametrize(("args", "write", "words"), BAD, ids=[f"{i} {row[2][:20]}" for i, row in enumerate(BAD)])
def test_bad_clips_and_robots_are_one_line(
    kind: str,
    args: str,
    write: Callable[[pathlib.Path], Any],
    words: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    robot_file(tmp_path)
    write(tmp_path)
    before = sorted(tmp_path.iterdir())
    robot = () if "march" in args or "--robot" in args else ("--robot", "robot.xml")
    out = {"check": (), "convert": ("--out", "out.npz"), "preview": ("--out", "out.png")}[kind]
    done = here(clip.main, kind, *args.split(), *robot, *out)
    if kind == "preview" and "cannot render here" in done.stderr:
        pytest.skip(done.stderr.strip())
    refused(done, words)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("convert march", "--out"),
        ("convert march --out a.txt", "out must end in .npz, not .txt"),
        ("convert march --out a", "out must end in .npz, not nothing"),
        ("convert march --out nowhere/a.npz", "cannot write nowhere/a.npz: No such file or directory: name another"),
        ("convert march --out folder.npz", "cannot write folder.npz: it is a folder"),
        ("convert march --out a.npz --raise nan", "raise must be a number of m, not nan"),
        ("convert march --out a.npz --loop maybe", "maybe"),
        ("convert march --out a.npz --start 0.5 --end 0.5", "start must be from 0 s and before end, not 0.5 and 0.5"),
        ("convert march --out a.npz --start -1", "start must be from 0 s"),
        ("convert march --out a.npz --start nan", "start must be from 0 s"),
        ("convert march --out a.npz --end 1.3", "must be in the clip, which lasts 1.2 s, not 0 and 1.3"),
        ("convert march --out a.npz --start 1.2", "must be in the clip, which lasts 1.2 s, not 1.2 and 1.2"),
        ("convert march --out a.npz --start 0.5 --end 0.501", "there is one frame from 0.5 to 0.501 s"),
        ("convert march --out a.npz --start 0.5 --end 0.517", "what is left lasts 0.0167 s: that must be two steps"),
        ("convert a.npz --out folder.npz/../a.npz", "would be lost: name another file"),
        ("preview march", "--out"),
        ("preview march --out a.avi", "out must end in .mp4, .gif or .png, not .avi"),
        ("preview march --out nowhere/a.png", "cannot write nowhere/a.png: No such file or directory"),
        ("preview march --out a.mp4 --width 641", "width must be even for .mp4, not 641: write 642"),
        ("preview march --out a.png --height 1", "height must be from 16 to 4096 pixels, not 1"),
        ("look march", "unknown command 'look': choose one of check, convert, preview"),
    ],
)
def test_bad_settings_are_one_line(
    args: str, words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.npz").mkdir()
    refused(here(clip.main, *args.split()), words)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


def test_settings_are_refused_before_anything_is_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: clip.Wanted) -> None:
        raise AssertionError("read")

    monkeypatch.setattr(clip.Wanted, "read", read)
    for kind, out in (("convert", "a.npz"), ("preview", "a.png")):
        refused(here(clip.main, kind, "march", "--out", tmp_path / "nowhere" / out), "cannot write")
    refused(here(clip.main, "preview", "march", "--out", tmp_path / "a.mp4", "--width", 641), "width must be even")
