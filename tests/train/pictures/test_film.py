"""What of an episode a movie shows: which steps, at which times, in which size."""

import pathlib
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from awr_mjx.config import AwrConfig
from awr_mjx.learner import Learner
from envs.base import State
from tests.trained import SETTINGS
from train.engine.config import TrainConfig
from train.engine.player import Player
from train.engine.streams import stream
from train.pictures import film


def test_odd_sizes_are_good_enough_for_images() -> None:
    film.RenderConfig(pathlib.Path("run"), width=641, height=481).validate(".gif")
    film.RenderConfig(pathlib.Path("run"), width=641, height=481).validate(".png")


def test_a_size_that_is_not_given_fits_the_grid() -> None:
    for grid, kind, size in (
        ("1x1", ".mp4", (640, 480)),
        ("3x3", ".mp4", (636, 480)),
        ("3x7", ".gif", (639, 476)),
        ("99x99", ".png", (594, 396)),
    ):
        config = film.RenderConfig(pathlib.Path("run"), grid=grid)
        config.validate(kind)
        assert config.size(kind) == size
    assert film.RenderConfig(pathlib.Path("run"), width=300, grid="3x3").size(".mp4") == (300, 480)


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
        np.testing.assert_array_equal(
            poses[:, 0], np.take(np.asarray(births, np.float32), np.cumsum(np.equal(counted, 0)) - 1)
        )
