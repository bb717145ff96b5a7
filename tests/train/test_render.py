"""A policy as a movie: the program, and what its files show."""

import itertools
import pathlib
import subprocess
import sys
from fractions import Fraction
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from awr_mjx.train import render
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.player import Player
from tests.tasks import Walk
from tests.trained import make_run, pendulum_run, python, refusal

__all__ = ["pendulum_run"]  # a fixture


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--out", "a.avi"], "out must end in .mp4, .gif or .png, not .avi"),
        (["--out", "a"], "out must end in .mp4, .gif or .png, not nothing"),
        (["--seconds", "0"], "seconds must be above 0"),
        (["--seconds", "nan"], "seconds must be above 0"),
        (["--seconds", "1e6"], "at most 3600"),
        (["--fps", "-1"], "fps must be above 0"),
        (["--fps", "60", "--out", "a.gif"], "fps must be above 0 and at most 50 for .gif, not 60"),
        (["--width", "641"], "width must be even for .mp4, not 641: write 642"),
        (["--height", "0"], "height must be from 16 to 4096 pixels, not 0"),
        (["--width", "100000"], "width must be from 16 to 4096 pixels, not 100000"),
        (["--width", "wide"], "wide"),
        (["--grid", "3"], "grid must be columns x rows, such as 3x2, up to 99x99, not '3'"),
        (["--grid", "0x2"], "grid must be columns x rows"),
        (["--together", "0"], "together must be from 1 to 100, not 0"),
        (["--together", "4", "--grid", "2x2"], "leave --grid and --both out"),
        (["--grid", "3x2", "--width", "640"], "width must be a multiple of 3 for a grid of 3x2, not 640: write 639"),
        (["--grid", "99x1", "--height", "8"], "height must be from 16"),
        (["--both", "true", "--grid", "2x1"], "--both shows one environment in both physics: leave --grid 2x1 out"),
        (["--both", "true", "--physics", "fast"], "--both shows both physics: leave --physics fast out"),
        (["--both", "true", "--width", "641"], "width must be a multiple of 2 for --both, not 641: write 640"),
        (
            ["--both", "true"],
            "the physics of task 'inverted_pendulum' is no approximation of another: leave --both out",
        ),
        (["--seed", "-1"], "seed must be from 0 to 4294967295, not -1"),
    ],
)
def test_render_refuses(
    pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str
) -> None:
    assert words in refusal(monkeypatch, render, "--run", pendulum_run, *args)


def test_folder_that_is_no_run_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{tmp_path} is not a run folder" in refusal(monkeypatch, render, "--run", tmp_path)


def test_a_task_with_a_slash_has_a_movie_in_its_run(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    config, drawn = TrainConfig(env="paper/ant"), list[pathlib.Path]()
    player = Player(config, Walk(), None, None, 0)  # type: ignore[arg-type]

    def draw(player: Player, config: Any, out: pathlib.Path) -> tuple[list[Any], int, Fraction]:
        drawn.append(out)
        return [], 1, Fraction(1)

    monkeypatch.setattr(render, "load", lambda *_: player)
    monkeypatch.setattr(render, "render", draw)
    monkeypatch.setattr(sys, "argv", ["program", "--run", str(tmp_path)])
    assert render.main() == 0
    assert drawn == [tmp_path / "paper-ant.mp4"]


def test_computer_without_opengl_gets_one_line(pendulum_run: pathlib.Path) -> None:
    out = pendulum_run.parent / "unseen.mp4"
    done = python("-m", "train.render", "--run", pendulum_run, "--out", out, env={"MUJOCO_GL": "nothing"})
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot render here with MUJOCO_GL=nothing (RuntimeError: ")
    assert "apt-get install libegl1 libgl1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()


@pytest.fixture(scope="module")
def rendered(pendulum_run: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, str]:
    """A folder with p.mp4 and p.png of 1 s, made in a process of its own, and what that said."""
    folder = tmp_path_factory.mktemp("rendered")
    script = (
        "import sys\nfrom awr_mjx.train import render\nfrom awr_mjx.train.console import errors\n"
        "run, folder = sys.argv[1:]\ndef main():\n"
        "    for kind in ('mp4', 'png'):\n"
        "        sys.argv[1:] = f'--run {run} --out {folder}/p.{kind} --seconds 1 --width 160 --height 96'.split()\n"
        "        render.main()\n"
        "    return 0\n"
        "errors.run_program(main)\n"
    )
    done = python("-c", script, pendulum_run, folder)
    if done.returncode == 2 and "cannot render here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_rendering_leaves_whole_files_alone(rendered: tuple[pathlib.Path, str]) -> None:
    folder, said = rendered
    assert sorted(p.name for p in folder.iterdir()) == ["p.mp4", "p.png"]
    assert f"{folder}/p.mp4: 25 frames at 25 per second, 1 s, 160x96\n" in said
    assert f"{folder}/p.png: 8 frames, 1 s, 160x96\n" in said
    assert "inverted_pendulum after 1,234 env steps: episode return" in said


def test_mp4_plays_everywhere(rendered: tuple[pathlib.Path, str]) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", rendered[0] / "p.mp4", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    about = next(line for line in done.stderr.decode().splitlines() if "Video: " in line)
    for words in ("Video: h264", "yuv420p", "160x96", "25 fps"):
        assert words in about
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, 96, 160, 3).astype(int)
    assert len(frames) == 25
    assert frames[0].std() > 5  # something is to be seen,
    assert np.abs(frames[0] - frames[8]).max() > 50  # and it moves


def test_sheet_has_8_frames(rendered: tuple[pathlib.Path, str]) -> None:
    with Image.open(rendered[0] / "p.png") as image:
        sheet = np.asarray(image).astype(int)
    assert sheet.shape == (2 * 96, 4 * 160, 3)
    cells = [sheet[r : r + 96, c : c + 160] for r in (0, 96) for c in range(0, 640, 160)]
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(cells))


def test_grid_shows_an_environment_in_each_cell(pendulum_run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "grid.png"
    options = "--seconds 1 --width 160 --height 96 --grid 2x2 --overlay false".split()
    done = python("-m", "train.render", "--run", pendulum_run, "--out", out, *options)
    if done.returncode == 2 and "cannot render here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    with Image.open(out) as image:
        sheet = np.asarray(image).astype(int)
    assert sheet.shape == (2 * 96, 4 * 160, 3)
    last = sheet[96:, 480:]
    cells = [last[r : r + 48, c : c + 80] for r in (0, 48) for c in (0, 80)]
    assert all(cell.std() > 5 for cell in cells)
    assert any((a != b).any() for a, b in itertools.pairwise(cells))
    assert done.stdout.count("episode return") >= 4


def test_robots_together_are_on_one_floor(tmp_path: pathlib.Path) -> None:
    """In a picture of nine there is more of the robots' colour than of one of the same size, and no seam of a cell."""
    run = make_run(tmp_path / "run", "hopper")
    share = []
    for together in (1, 9):
        out = tmp_path / f"{together}.png"
        options = f"--seconds 0.1 --width 320 --height 180 --together {together} --overlay false".split()
        done = python("-m", "train.render", "--run", run, "--out", out, *options)
        if done.returncode == 2 and "cannot render here" in done.stderr:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        with Image.open(out) as image:
            first = np.asarray(image).astype(int)[:180, :320]
        orange = (first[..., 0] > first[..., 2] + 60).any(axis=0)  # columns of the picture in which a robot is
        share.append(int((np.diff(orange.astype(int)) == 1).sum()))
        assert done.stdout.count("episode return") >= min(together, 5)
    assert share[0] == 1 and share[1] >= 3
