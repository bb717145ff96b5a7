"""What of an episode a movie shows: which steps, at which times, in which size."""

import dataclasses
import pathlib
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner
from awr_mjx.envs.base import BrokenTask, State
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.player import Player
from awr_mjx.train.engine.streams import stream
from awr_mjx.train.pictures import film
from awr_mjx.train.pictures.live import Live
from tests.trained import SETTINGS


def test_odd_sizes_are_good_enough_for_images() -> None:
    film.RenderConfig(pathlib.Path("run"), width=641, height=481).validate(".gif")
    film.RenderConfig(pathlib.Path("run"), width=641, height=481).validate(".png")


def test_a_size_that_is_not_given_fits_the_grid() -> None:
    for grid, kind, size in (
        ("1x1", ".mp4", (1280, 720)),
        ("3x3", ".mp4", (1278, 720)),
        ("3x7", ".gif", (480, 266)),
        ("99x99", ".png", (594, 297)),
    ):
        config = film.RenderConfig(pathlib.Path("run"), grid=grid)
        config.validate(kind)
        assert config.size(kind) == size
    assert film.RenderConfig(pathlib.Path("run"), width=300, grid="3x3").size(".mp4") == (300, 720)


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
    clips = film.play(Live(player_of(env), 3), seed=3, count=2, steps=10)
    for i, clip in enumerate(clips):  # each environment has a seed of its own
        poses = np.stack([shown.pose for shown in clip])
        np.testing.assert_array_equal(poses[:, 1], counted)
        assert [(end.total, end.steps) for end in film.episodes(clip)] == episodes
        assert clip[-1].over == over
        keys = [jax.random.split(jax.random.fold_in(stream(3 + i, "live"), k))[0] for k in range(3)]
        births = [float(jax.random.uniform(key)) for key in keys]
        np.testing.assert_array_equal(
            poses[:, 0], np.take(np.asarray(births, np.float32), np.cumsum(np.equal(counted, 0)) - 1)
        )


def player_of(env: Any) -> Player:
    config = TrainConfig(env="steps", awr=AwrConfig(**SETTINGS))
    learner = Learner(config.awr, 2, 1, discrete=False)
    return Player(config, env, learner, jax.jit(learner.init)(jax.random.key(0)), 0)


class Twice:
    """`Steps` that are paid twice."""

    def __init__(self, env: Steps) -> None:
        self._step, self.begun = jax.vmap(env.step), 0

    def begin(self, state: State) -> None:
        self.begun += 1

    def step(self, state: State, action: jax.Array, which: np.ndarray) -> State:
        moved = self._step(state, action)
        return dataclasses.replace(moved, reward=2 * moved.reward)


def test_the_exact_physics_of_a_task_can_be_shown() -> None:
    env = Steps(last=3)
    env.exact = lambda count, threads: Twice(env)  # type: ignore[attr-defined]
    player = player_of(env)
    live = Live(player, 3, exact=True)
    (exact,), (fast,) = film.play(live, 3, 1, 10), film.play(Live(player, 3), 3, 1, 10)
    assert [end.total for end in film.episodes(exact)] == [2 * end.total for end in film.episodes(fast)]
    np.testing.assert_array_equal([one.pose for one in exact], [one.pose for one in fast])
    assert live._robots.begun == 3


class Drawn(Steps):
    """A task that draws itself, as `image` or not at all."""

    def __init__(self, image: Any, dt: float = 0.1) -> None:
        super().__init__(last=3)
        self.image, self.dt = image, dt

    def picture(self, positions: np.ndarray, action: np.ndarray, width: int, height: int) -> Any:
        return np.zeros(self.image[0], self.image[1])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (((32, 64, 3), np.float64), r"picture gives float64\[32, 64, 3\], not uint8\[32, 64, 3\]"),
        (((16, 64, 3), np.uint8), r"picture gives uint8\[16, 64, 3\], not uint8\[32, 64, 3\]"),
        (((32, 64), np.uint8), r"picture gives uint8\[32, 64\]"),
        ((), r"picture raises IndexError: tuple index out of range \(.*test_film.py:\d+\)"),
    ],
)
def test_a_picture_that_is_none_is_found_before_anything_is_played(
    image: Any, words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "play", lambda *_: pytest.fail("played before it looked"))
    config = film.RenderConfig(tmp_path, width=64, height=32)
    with pytest.raises(BrokenTask, match=f"broken task: {words}"):
        film.render(player_of(Drawn(image)), config, tmp_path / "a.mp4")
    assert not list(tmp_path.iterdir())


def test_a_task_without_positions_cannot_be_shown(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Steps, "positions")
    with pytest.raises(UserError, match=r"'steps' cannot be shown: it has no positions\(state\)"):
        film.render(player_of(Drawn(((480, 640, 3), np.uint8))), film.RenderConfig(tmp_path), tmp_path / "a.mp4")


def test_positions_of_another_model_are_found() -> None:
    env = Steps(last=3)
    env.mj_model = SimpleNamespace(nq=7)  # type: ignore[attr-defined]
    with pytest.raises(BrokenTask, match=r"positions gives \[2\] numbers, and the model has 7 in qpos"):
        Live(player_of(env), 0)


def test_a_task_of_long_steps_needs_as_long_a_movie(tmp_path: pathlib.Path) -> None:
    slow, config = (
        player_of(Drawn(((32, 64, 3), np.uint8), dt=3600.0)),
        film.RenderConfig(tmp_path, width=64, height=32),
    )
    with pytest.raises(
        UserError, match="a control step of this task lasts 3600 s, longer than --seconds 10: give 3600"
    ):
        film.render(slow, config, tmp_path / "a.gif")
    with pytest.raises(UserError, match="too slow for a movie"):
        film.render(player_of(Drawn((), dt=7200.0)), config, tmp_path / "a.gif")
    long = dataclasses.replace(config, seconds=3600.0)
    clips, count, fps = film.render(slow, long, tmp_path / "a.png")
    assert (len(clips[0]), count) == (2, 8)
    assert fps == Fraction(1, 1001)
    assert film.shown_steps(long, ".mp4", fps, 3600.0).tolist() == [0, 0, 0, 0]
