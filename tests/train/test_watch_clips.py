"""The live page of a task that imitates clips: a ghost does what is imitated, and episodes begin where one likes."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs.base import State
from awr_mjx.envs.gym.inverted_pendulum import InvertedPendulum
from awr_mjx.envs.imitation.task import Imitation
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.player import Player
from awr_mjx.train.pictures.live import Live
from awr_mjx.train.pictures.page import Page, make_server
from awr_mjx.train.pictures.painters import GHOST
from awr_mjx.train.pictures.views import Bodies
from tests.trained import free_port, make_player

pytest.importorskip("viser")
pytest.importorskip("mjviser")
PENDULUM = 0.02  # s, a physics step of the pendulum, which is a row of its clips


class Clipped(InvertedPendulum):
    """The pendulum with two clips of 51 and 11 rows: in row r of clip c its cart is at c + r / 100 m."""

    clip_rows = (51, 11)

    def start(self, clip: jax.Array, row: jax.Array) -> State:
        obs = jnp.array([clip + row / 100, 0.0, 0.0, 0.0])
        return State(self.init_physics(obs[:2], obs[2:]), obs, jnp.float32(0), jnp.float32(0))

    def wanted_positions(self, state: State) -> jax.Array:
        return self.positions(state) + jnp.array([0.5, 0.0])


def clipped() -> Player:
    player = make_player("inverted_pendulum")
    config = dataclasses.replace(player.config, task=TaskOptions(clip=("a/walk.npz", "b/turn.npz")))
    return dataclasses.replace(player, env=Clipped(), config=config)


@contextlib.contextmanager
def page(player: Player) -> Iterator[Page]:
    server = make_server("127.0.0.1", free_port())
    try:
        yield Page(server, player, Live(player, 0))
    finally:
        server.stop()


def test_an_episode_begins_where_it_is_asked_to() -> None:
    live = Live(clipped(), 0)
    assert live.clip_seconds == pytest.approx((50 * PENDULUM, 10 * PENDULUM))
    first = live.shown.pose[0]
    live.step()
    live.begin_in(1, 3.4 * PENDULUM)
    assert (live.shown.steps, live.shown.total, live.shown.over) == (0, 0.0, False)
    assert live.shown.pose[0] == pytest.approx(1.03)
    live.step()
    assert live.shown.steps == 1 and live.shown.pose[0] == pytest.approx(1.03, abs=0.1)
    for clip, seconds, place in ((0, 99.0, 0.5), (1, 99.0, 1.1), (0, -1.0, 0.0)):  # as near as one can begin
        live.begin_in(clip, seconds)
        assert live.shown.pose[0] == pytest.approx(place, abs=1e-6)
    live.reset(0)
    assert live.shown.pose[0] == first
    for clip in (-1, 2):
        with pytest.raises(UserError, match=f"no clip {clip} to begin in"):
            live.begin_in(clip, 0.0)


def test_a_task_without_clips_has_none_to_begin_in() -> None:
    live = Live(make_player("inverted_pendulum"), 0)
    assert live.clip_seconds == ()
    with pytest.raises(UserError, match="no clip 0 to begin in"):
        live.begin_in(0, 0.0)


def test_imitation_begins_in_the_clip_and_is_its_own_ghost_there() -> None:
    player = make_player("imitate/march")
    task: Any = player.env
    assert isinstance(task, Imitation)
    live = Live(player, 0)
    assert live.clip_seconds == pytest.approx((71 / 60,))  # a loop of 1.2 s: in its last row too
    live.begin_in(0, 0.5)
    wanted = np.asarray(task.tables.qpos[30])
    np.testing.assert_allclose(np.asarray(live.shown.ghost), wanted, atol=1e-5)
    np.testing.assert_allclose(live.shown.pose[3:], wanted[3:], atol=1e-5)
    live.begin_in(0, 0.0)
    assert np.abs(np.asarray(live.shown.ghost) - wanted).max() > 0.1


def test_the_page_begins_where_its_slider_is_put() -> None:
    with page(clipped()) as shown:
        shown._toggle()  # it pauses
        places: Any = shown._places
        assert tuple(places.clip.options) == ("1 walk", "2 turn")
        assert places.place.max == pytest.approx(1.0)
        places.place.value = 0.3
        shown.tick(0.0)
        assert shown._live.shown.pose[0] == pytest.approx(0.15)
        shown._single()
        assert len(shown._rewards) == 1
        places.clip.value = "2 turn"  # is shorter: as far as it goes
        shown.tick(0.0)
        assert shown._live.shown.pose[0] == pytest.approx(1.10) and not len(shown._rewards)
        assert (places.place.value, places.place.max) == pytest.approx((0.2, 0.2))
        shown._restart()
        assert abs(shown._live.shown.pose[0]) < 0.02


def test_the_ghost_is_where_the_clip_is() -> None:
    with page(clipped()) as shown:
        shown._toggle()
        shown._begin_in(0, 0.4)
        shown._drawn = 0.0
        shown.tick(0.0)
        assert isinstance(shown._view, Bodies)
        (ghost,) = shown._view._ghosts
        assert len(ghost._parts) == 2  # the cart and its pole, and not the rail
        for _, part in ghost._parts:
            assert part.position[0] == pytest.approx(0.2 + 0.5) and part.opacity == GHOST[3]
            # It moves with the floor, under a camera that goes along.
            assert part.name.startswith(f"{shown._view.scene.fixed_bodies_frame.name}/")


def test_the_page_of_another_task_has_neither() -> None:
    with page(make_player("inverted_pendulum")) as shown:
        assert isinstance(shown._view, Bodies)
        assert not shown._view._ghosts and not hasattr(shown, "_places")
        shown._drawn = 0.0
        shown.tick(0.0)
