"""What the live page shows: a task's own picture, bars of the action, values, pushes, several robots on one floor."""

import dataclasses
import pathlib
import re
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

from awr_mjx.envs import drawing, registry
from awr_mjx.train import play, watch
from awr_mjx.train.pictures import readings, views
from awr_mjx.train.pictures.live import Live, Shown
from awr_mjx.train.pictures.page import Page, make_server, serve
from tests.tasks import Walk
from tests.train.test_watch import browser, canvas, page, served
from tests.trained import free_port, make_player, make_run, pendulum_run, refusal

__all__ = ["pendulum_run"]  # a fixture

pytest.importorskip("viser")
pytest.importorskip("mjviser")
MOMENT = Shown(np.array([0.5, 0.1]), np.array([1.0]), 1.0, 5.0, 5, over=False)


class Client:
    """A browser of some size that is shown pictures."""

    def __init__(self, width: int, height: int) -> None:
        self.camera, self.scene = SimpleNamespace(image_width=width, image_height=height), self
        self.seen: list[np.ndarray] = []

    def set_background_image(self, image: np.ndarray, **_: Any) -> None:
        self.seen.append(image)


def test_every_browser_is_sent_each_moment_once_in_its_own_size() -> None:
    clients = {1: Client(300, 200), 2: Client(2560, 1000), 3: Client(0, 0)}
    view = views.Picture(SimpleNamespace(get_clients=lambda: clients), registry.make("cartpole"))
    for _ in range(3):
        view.show([MOMENT])
    assert [[image.shape for image in clients[i].seen] for i in (1, 2, 3)] == [[(200, 300, 3)], [(500, 1280, 3)], []]
    later = dataclasses.replace(MOMENT, pose=np.array([-0.5, 0.1]))
    view.show([later])
    assert len(clients[1].seen) == 2 and (clients[1].seen[0] != clients[1].seen[1]).any()
    clients[1].camera.image_width = 310
    view.show([later])
    assert clients[1].seen[-1].shape == (200, 310, 3)
    del clients[1]
    view.show([MOMENT])
    assert set(view._seen) == {2}


def spans(content: str) -> list[tuple[float, float]]:
    """Where the bars of a page begin and how long they are, in % of their place."""
    found = re.findall(r"left:(-?[\d.]+)%;width:([\d.]+)%", content)
    return [(float(left), float(width)) for left, width in found]


def test_bars_of_an_action_begin_in_the_middle() -> None:
    shown = dataclasses.replace(MOMENT, action=np.array([0.5, -0.25, 0.0, 1.5]))
    content = readings.bars(["hip", "<knee>", "ankle", "toe"], shown)
    # From -1 to 1 is the whole place; what is beyond it ends there, and its number says so.
    assert spans(content) == [(50.0, 25.0), (37.5, 12.5), (50.0, 0.0), (50.0, 50.0)]
    assert "+1.50" in content and "&lt;knee&gt;" in content and "<knee>" not in content


def test_bars_of_discrete_actions_are_their_probabilities() -> None:
    shown = dataclasses.replace(MOMENT, action=np.array([1.0]), chances=np.array([0.2, 0.7, 0.1]))
    content = readings.bars(["left", "stay", "right"], shown)
    assert spans(content) == [(0.0, 20.0), (0.0, 70.0), (0.0, 10.0)]
    rows = content.split("grid-template-columns")[1:]
    assert [readings.BLUE in row for row in rows] == [False, True, False]
    assert "70 %" in rows[1]


def test_live_says_what_the_policy_made_of_the_state() -> None:
    player = make_player("cartpole")
    live = Live(player, 3)
    assert live.shown.value is None
    np.testing.assert_array_equal(live.shown.chances, [0.0, 0.0])
    state: Any = live._state
    live.step()
    policy: Any = player.learner.policy(player.learned.policy, player.learned.normalizer, state.obs)
    np.testing.assert_allclose(live.shown.chances, jax.nn.softmax(policy.logits), rtol=1e-5)  # type: ignore[arg-type]
    value = player.learner.value(player.learned, state.obs)
    assert live.shown.value == pytest.approx(float(value), rel=1e-5)
    pendulum = Live(make_player("inverted_pendulum", value_updates=0), 3)
    pendulum.step()
    assert (pendulum.shown.chances, pendulum.shown.value) == (None, None)


def test_a_task_with_a_picture_has_a_page_with_all_its_buttons(tmp_path: pathlib.Path) -> None:
    with page(make_run(tmp_path / "run", "cartpole")) as shown:
        assert isinstance(shown._view, views.Picture)
        shown._press("Step")  # which pauses
        assert not shown.playing and shown._buttons.options == ("Play", "Step", "Reset")
        shown._plotted = 0.0
        shown.tick(0.0)
        assert "cartpole" in shown._status.content and "paused" in shown._status.content
        assert "left" in shown._bars.content and "right" in shown._bars.content
        assert len(shown._rewards) == len(shown._values) == 1  # type: ignore[arg-type]
        shown._press("Play")
        assert shown.playing
        shown._press("Reset")
        assert shown._live.shown.steps == 0 and len(shown._rewards) == 0


def test_a_page_without_values_plots_none() -> None:
    player = make_player("inverted_pendulum", value_updates=0)
    server = make_server("127.0.0.1", free_port())
    try:
        shown = Page(server, player, Live(player, 0))
        shown._single()
        assert shown._values is None and len(shown._rewards) == 1
    finally:
        server.stop()


def test_robots_together_are_apart_and_play_for_themselves() -> None:
    player = make_player("hopper")
    server = make_server("127.0.0.1", free_port())
    try:
        shown = Page(server, player, Live(player, 5), seed=5, together=3)
        shown._single()
        shown.tick(0.0)
        first, second = shown._lives[:2]
        alone = Live(player, 6)
        alone.step()
        np.testing.assert_allclose(second.shown.pose, alone.shown.pose, atol=1e-5)
        assert np.abs(first.shown.pose - second.shown.pose).max() > 1e-4
        view: Any = shown._view
        torso = view.scene._last_body_xpos[:, 1]
        gaps = [np.linalg.norm(torso[i] - torso[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        assert min(gaps) > 0.9 * 1.3 * view._model.stat.extent
        # The numbers are of the one that the camera goes after.
        view.scene.env_idx, shown._plotted = 1, 0.0
        shown.tick(0.0)
        assert "robot 2 of 3" in shown._status.content and len(shown._rewards) == 0
        shown._action.value = "sampled"
        shown.tick(0.0)
        assert all(live.sampled for live in shown._lives)
    finally:
        server.stop()


def test_a_push_is_marked_for_a_moment(pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with page(pendulum_run) as shown:
        view: Any = shown._view
        shown._single()
        shown._push("right")
        shown._drawn = 0.0
        shown.tick(0.0)
        start, tip = view._arrow.points[0]
        assert tip[1] < start[1] < 0 or start[1] > tip[1] > 0  # it ends at the body, which it pushes to -y
        np.testing.assert_allclose(view._arrow.position, view.scene._last_body_xpos[0, 1])
        monkeypatch.setattr(view, "_until", 0.0)
        shown._drawn = 0.0
        shown.tick(0.0)
        assert view._arrow is None


def test_sky_and_floor_are_those_of_films(monkeypatch: pytest.MonkeyPatch) -> None:
    server = make_server("127.0.0.1", free_port())
    skies: list[np.ndarray] = []
    floors: list[tuple[str, dict[str, Any]]] = []
    add_grid = server.scene.add_grid

    def record(name: str, **settings: Any) -> Any:
        floors.append((name, settings))
        return add_grid(name, **settings)

    monkeypatch.setattr(server.scene, "add_grid", record)
    monkeypatch.setattr(server.scene, "set_background_image", skies.append)
    try:
        views.view_of(server, registry.make("ant"), 1, ghosts=False)
    finally:
        server.stop()
    assert tuple(skies[0][0, 0]) == drawing.SKY and tuple(skies[0][-1, 0]) == drawing.HORIZON
    (theirs, _), (ours, settings) = floors
    assert ours == theirs  # in its place, not in front of it
    assert settings["plane_color"] == drawing.FLOOR and settings["plane_opacity"] == 1.0


def test_what_cannot_be_shown_is_refused(pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unseen = dataclasses.replace(make_player("cartpole"), env=Walk())
    with pytest.raises(Exception, match="task 'cartpole' cannot be watched: it has no MuJoCo model and draws no pict"):
        serve(unseen, "127.0.0.1", free_port())
    with pytest.raises(Exception, match="task 'cartpole' draws its own picture, of one: leave --together out"):
        serve(make_player("cartpole"), "127.0.0.1", free_port(), together=2)
    words = "together must be from 1 to 100, not 101"
    assert words in refusal(monkeypatch, watch, "--run", pendulum_run, "--together", 101)
    assert words in refusal(monkeypatch, play, "ant", "--together", 101)


def test_a_picture_in_chromium(tmp_path: pathlib.Path) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    run = make_run(tmp_path / "run", "cartpole")
    with served(run, "cartpole") as address, browser(address) as driver:

        def sees_the_cart(driver: Any) -> bool:
            near = np.abs(canvas(driver).astype(int) - drawing.BODY).max(axis=2) < 30
            return bool(near.sum() > 500)

        WebDriverWait(driver, 60).until(sees_the_cart)
