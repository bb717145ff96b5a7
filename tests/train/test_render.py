"""A policy as a movie: what is played, which frames are shown, and that files are whole or not there."""

import itertools
import pathlib
import subprocess
from fractions import Fraction
from typing import Any

import imageio_ffmpeg
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from PIL import Image

from awr_mjx.config import AwrConfig
from awr_mjx.learner import Learner
from envs import registry
from envs.base import State
from tests.trained import SETTINGS, pendulum_run, python, refusal
from train import render
from train.console.errors import UserError
from train.console.files import replacing
from train.engine.config import TrainConfig
from train.engine.player import Player
from train.engine.streams import stream
from train.pictures import film, painters, video
from train.pictures.live import Shown

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
        (["--grid", "3"], "grid must be columns x rows, such as 3x2, not '3'"),
        (["--grid", "0x2"], "grid must be columns x rows"),
        (["--grid", "3x2"], "width must be a multiple of 3 for a grid of 3x2, not 640"),
        (["--seed", "-1"], "seed must be from 0 to 4294967295, not -1"),
    ],
)
def test_render_refuses(
    pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str
) -> None:
    assert words in refusal(monkeypatch, render, "--run", pendulum_run, *args)


def test_folder_that_is_no_run_is_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{tmp_path} is not a run folder" in refusal(monkeypatch, render, "--run", tmp_path)


def test_odd_sizes_are_good_enough_for_images(pendulum_run: pathlib.Path) -> None:
    film.RenderConfig(pendulum_run, width=641, height=481).validate(".gif")
    film.RenderConfig(pendulum_run, width=641, height=481).validate(".png")


def test_computer_without_opengl_gets_one_line(pendulum_run: pathlib.Path) -> None:
    out = pendulum_run.parent / "unseen.mp4"
    done = python("-m", "train.render", "--run", pendulum_run, "--out", out, env={"MUJOCO_GL": "nothing"})
    assert done.returncode == 2
    assert done.stderr.startswith("error: cannot render here with MUJOCO_GL=nothing (RuntimeError: ")
    assert "apt-get install libegl1 libgl1" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_cameras() -> None:
    env = registry.make("inverted_pendulum")
    assert painters.find_camera(env, None) == "track"
    assert painters.find_camera(env, "free") == -1
    with pytest.raises(UserError, match="no camera 'nose'; it has track, free"):
        painters.find_camera(env, "nose")
    with pytest.raises(UserError, match="cannot be rendered yet"):
        painters.find_camera(registry.make("cartpole"), None)


def test_task_that_draws_itself_needs_no_camera() -> None:
    env = registry.make("lunar_lander")
    assert painters.find_camera(env, None) == -1
    with pytest.raises(UserError, match="draws its own picture; leave --camera out"):
        painters.find_camera(env, "track")
    pose = np.concatenate([np.full(9, 5.0), np.full(11, 3.3), np.zeros(2)])
    with painters.painter(env, 64, 48, -1) as paint:
        assert paint(Shown(pose, np.zeros(1), 0.0, 0.0, 0, over=False)).shape == (48, 64, 3)


def test_frame_rate_is_real_time() -> None:
    default = film.RenderConfig(pathlib.Path("run"))
    # 0.015 s: 66.7 control steps per second, of which every second one is shown.
    rates = {0.05: 20, 0.04: 25, 0.02: 50, 0.01: 50, 1 / 60: 60, 1 / 120: 60, 0.015: Fraction(100, 3)}
    for dt, want in rates.items():
        assert film.frames_per_second(default, ".mp4", dt) == want, dt
    assert film.frames_per_second(default, ".gif", 1 / 60) == 30
    asked = film.RenderConfig(pathlib.Path("run"), fps=29.97)
    assert float(film.frames_per_second(asked, ".mp4", 0.05)) == pytest.approx(29.97)


def test_frames_show_the_step_of_their_time() -> None:
    config = film.RenderConfig(pathlib.Path("run"), seconds=0.4)
    # 0.04 s a step: a frame at 0, 0.1, 0.2, 0.3 s shows the step that began at 0, 0.08, 0.2, 0.28 s.
    np.testing.assert_array_equal(film.shown_steps(config, ".mp4", Fraction(10), 0.04), [0, 2, 5, 7])
    np.testing.assert_array_equal(film.shown_steps(config, ".mp4", Fraction(25), 0.04), np.arange(10))
    # A sheet has its first frame at the start and its last at the end, 0.4 s = 10 steps later: 0, 10/7, 20/7, ...
    np.testing.assert_array_equal(film.shown_steps(config, ".png", Fraction(25), 0.04), [0, 1, 3, 4, 6, 7, 9, 10])


@struct.dataclass
class Place:
    qpos: jax.Array


class Steps:
    """Positions [birth, steps]; each step pays 2. The episode fails, or breaks (NaN), with its `last` step."""

    observation_size, action_size, discrete, dt = 2, 1, False, 0.1

    def __init__(self, last: int, breaks: bool = False, episode_length: int = 100) -> None:
        self.last, self.breaks, self.episode_length = last, breaks, episode_length

    def reset(self, key: jax.Array) -> State:
        qpos = jnp.stack([jax.random.uniform(key), 0.0])
        return State(Place(qpos), qpos, jnp.float32(0.0), jnp.float32(0.0))

    def step(self, state: State, action: jax.Array) -> State:
        qpos = state.data.qpos + jnp.array([0.0, 1.0])
        ended = qpos[1] == self.last
        reward = jnp.where(ended & self.breaks, jnp.nan, 2.0)
        return State(Place(qpos), qpos, reward, (ended & ~jnp.array(self.breaks)).astype(jnp.float32))

    def positions(self, state: State) -> jax.Array:
        return state.data.qpos


@pytest.mark.parametrize(
    ("env", "counted", "episodes", "over"),
    [
        # The pose in which an episode failed or met its time limit is shown; one that is not finite is not.
        (Steps(last=3), [0, 1, 2, 3, 0, 1, 2, 3, 0, 1], [(6.0, 3), (6.0, 3), (2.0, 1)], False),
        (Steps(last=4), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4], [(8.0, 4), (8.0, 4)], True),
        (Steps(last=9, episode_length=4), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4], [(8.0, 4), (8.0, 4)], True),
        (Steps(last=3, breaks=True), [0, 1, 2, 2, 0, 1, 2, 2, 0, 1], [(4.0, 3), (4.0, 3), (2.0, 1)], False),
        (Steps(last=99), list(range(10)), [(18.0, 9)], False),
    ],
)
def test_play_goes_on_after_an_episode(
    env: Steps, counted: list[int], episodes: list[tuple[float, int]], over: bool
) -> None:
    config = TrainConfig(env="steps", awr=AwrConfig(**SETTINGS))
    learner = Learner(config.awr, 2, 1, discrete=False)
    player = Player(config, env, learner, jax.jit(learner.init)(jax.random.key(0)), 0)
    clips = film.play(player, seed=3, count=2, steps=10)
    for i, clip in enumerate(clips):  # each environment has a seed of its own
        poses = np.stack([shown.pose for shown in clip])
        np.testing.assert_array_equal(poses[:, 1], counted)
        assert [(end.total, end.steps) for end in film.episodes(clip)] == episodes
        assert clip[-1].over == over
        keys = [jax.random.split(jax.random.fold_in(stream(3 + i, "live"), k))[0] for k in range(3)]
        births = [float(jax.random.uniform(key)) for key in keys]
        np.testing.assert_array_equal(poses[:, 0], np.take(np.float32(births), np.cumsum(np.equal(counted, 0)) - 1))


@pytest.fixture(scope="module")
def rendered(pendulum_run: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, str]:
    """A folder with p.mp4 and p.png of 1 s, made in a process of its own, and what that said."""
    folder = tmp_path_factory.mktemp("rendered")
    script = (
        "import sys\nfrom train import render\nfrom train.console import errors\n"
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


def test_gif_keeps_real_time_and_colours(tmp_path: pathlib.Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (7, 3), np.uint8)
    frames = [np.broadcast_to(colour, (21, 33, 3)) for colour in colours]
    video.write_movie(tmp_path / "a.part", ".gif", frames, Fraction(7), 33, 21)
    with Image.open(tmp_path / "a.part") as image:
        assert image.size == (33, 21)
        assert image.info["loop"] == 0  # for ever
        assert image.n_frames == 7  # type: ignore[attr-defined]
        milliseconds = 0
        for i, colour in enumerate(colours):
            image.seek(i)
            milliseconds += image.info["duration"]
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - colour).max() < 10
    assert milliseconds == 1000  # although a GIF counts in 10 ms, of which 1/7 s is no multiple


def test_sheet_has_8_frames(rendered: tuple[pathlib.Path, str]) -> None:
    with Image.open(rendered[0] / "p.png") as image:
        sheet = np.asarray(image).astype(int)
    assert sheet.shape == (2 * 96, 4 * 160, 3)
    cells = [sheet[r : r + 96, c : c + 160] for r in (0, 96) for c in range(0, 640, 160)]
    assert all(np.abs(a - b).max() > 50 for a, b in itertools.pairwise(cells))


def test_words_on_a_picture_fit_and_can_be_read() -> None:
    for shape in ((96, 160, 3), (48, 53, 3), (480, 640, 3)):
        image = np.full(shape, 128, np.uint8)
        written = video.write_on(image, "12.34 s  return -1,234.5  reward 12.34").astype(int)
        changed = np.argwhere((written != 128).any(axis=2))
        assert written.max() > 200 and written.min() < 50  # white with a dark edge
        assert changed[:, 0].max() < shape[0] // 4
        if shape[1] > 100:
            assert shape[1] // 3 < changed[:, 1].max() < shape[1] - 1
    assert (image == 128).all()


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


def test_failed_movie_leaves_nothing(tmp_path: pathlib.Path) -> None:
    def frames() -> Any:
        yield np.zeros((16, 16, 3), np.uint8)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a.mp4") as part:
        video.write_movie(part, ".mp4", frames(), Fraction(10), 16, 16)
    assert not list(tmp_path.iterdir())
    images = [np.zeros((16, 16, 3), np.uint8)] * 3
    with pytest.raises(UserError, match=r"ffmpeg could not write the movie: .*No such file"):
        video.write_movie(tmp_path / "nowhere" / "a.mp4", ".mp4", images, Fraction(10), 16, 16)


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
