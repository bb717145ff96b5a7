"""The live page: what its buttons do without a browser, and the page itself in a headless Chromium."""

import contextlib
import io
import pathlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import psutil
import pytest
from PIL import Image

from awr_mjx.train import watch
from awr_mjx.train.engine import checkpoint_format
from awr_mjx.train.engine.checkpointing import Checkpoints
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.player import load_policy
from awr_mjx.train.engine.streams import stream
from awr_mjx.train.pictures.live import Live
from awr_mjx.train.pictures.page import Page, make_server
from tests.trained import free_port, make_player, make_run, pendulum_run, refusal, shaken

__all__ = ["pendulum_run"]  # a fixture

viser = pytest.importorskip("viser")
pytest.importorskip("mjviser")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


def save(run: pathlib.Path, env_steps: int, seed: int) -> None:
    """Puts another checkpoint, of another policy, beside those of `run`."""
    player = load_policy(run)
    state = Loop(player.env, player.config.awr, player.config.num_envs).init(0)
    saves = Checkpoints(run, keep=9, with_ring=False)
    learned = shaken(state.learner, seed)
    assert saves.save(state.replace(learner=learned), env_steps) is None  # type: ignore[attr-defined]
    assert saves.wait() is None
    saves.close()


def test_live_plays_the_mode_action_and_counts() -> None:
    player = make_player("inverted_pendulum")
    live = Live(player, seed=3)
    env, total = player.env, 0.0
    key_start, _ = jax.random.split(jax.random.fold_in(stream(3, "live"), 0))  # actions have the other one
    state = env.reset(key_start)
    while True:
        action = player.learner.policy(player.learned.policy, player.learned.normalizer, state.obs).mode()
        state = env.step(state, action)
        live.step()
        total += float(state.reward)
        np.testing.assert_allclose(live.shown.action, action, atol=1e-4)
        np.testing.assert_allclose(live.shown.pose, state.data.qpos, atol=1e-4)
        if bool(state.done):
            break
    assert live.shown.over and live.shown.total == total
    live.step()  # the next episode
    assert (live.shown.steps, live.shown.total, live.shown.over) == (0, 0.0, False)
    again = Live(player, seed=3)
    live.reset(3)
    np.testing.assert_array_equal(live.shown.pose, again.shown.pose)


def test_live_samples_and_pushes() -> None:
    player = make_player("inverted_pendulum")
    live, other = Live(player, 0), Live(player, 0)
    other.sampled = True
    live.step()
    other.step()
    assert (live.shown.action != other.shown.action).all()
    live.reset(0)
    other.reset(0)
    other.sampled = False
    other.push((2.0, 0.0, 0.0))
    live.step()
    other.step()
    assert other.shown.pose[0] - live.shown.pose[0] == pytest.approx(2.0 * player.env.dt, rel=0.5)


@contextlib.contextmanager
def page(run: pathlib.Path, step: int | None = None, host: str = "127.0.0.1") -> Iterator[Page]:
    player = load_policy(run, step)
    server = make_server(host, free_port())
    try:
        yield Page(server, player, Live(player, 0), run, follow=step is None)
    finally:
        server.stop()


def test_page_follows_the_newest_checkpoint_and_survives_one_that_goes(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run", "inverted_pendulum")
    with page(run) as shown:
        shown.tick(0.1)
        assert shown._live.trained == 1234
        assert tuple(shown._checkpoint.options) == ("newest", "1234")
        save(run, 2000, seed=1)
        shown._looked = 0.0
        shown.tick(0.1)
        assert shown._live.trained == 2000
        assert tuple(shown._checkpoint.options) == ("newest", "2000", "1234")
        # Another one is chosen, and is gone before it is read: what plays stays, and the page says so.
        shutil.rmtree(checkpoint_format.folder(run) / "1234")
        shown._checkpoint.value = "1234"
        shown.tick(0.1)
        assert shown._live.trained == 2000
        shown._plotted = 0.0
        shown.tick(0.1)
        assert "no checkpoint 1234" in shown._status.content
        assert "still showing 2,000" in shown._status.content
        # The one that is shown goes too.
        shutil.rmtree(checkpoint_format.folder(run) / "2000")
        shown._looked = 0.0
        shown.tick(0.1)
        assert shown._live.trained == 2000


def test_page_keeps_to_a_chosen_checkpoint(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run", "inverted_pendulum")
    with page(run, step=1234) as shown:
        save(run, 2000, seed=1)
        shown._looked = 0.0
        shown.tick(0.1)
        assert shown._live.trained == 1234
        shown._checkpoint.value = "newest"
        shown.tick(0.1)
        shown._looked = 0.0
        shown.tick(0.1)
        assert shown._live.trained == 2000


def test_only_this_computer_is_listened_to_unless_told_otherwise(pendulum_run: pathlib.Path) -> None:
    def addresses(port: int) -> set[str]:
        found = psutil.Process().net_connections("tcp")
        return {line.laddr.ip for line in found if line.status == psutil.CONN_LISTEN and line.laddr.port == port}

    with page(pendulum_run) as shown:
        assert addresses(shown._server.get_port()) == {"127.0.0.1"}
    with page(pendulum_run, host="0.0.0.0") as shown:
        assert addresses(shown._server.get_port()) == {"0.0.0.0"}


def test_time_is_real_unless_paused(pendulum_run: pathlib.Path) -> None:
    with page(pendulum_run) as shown:
        shown._single()  # compiles
        shown._restart()
        shown._toggle()
        shown.tick(0.0)
        shown.tick(0.0801)  # two control steps of 0.04 s
        assert len(shown._rewards) == 2
        shown._speed.value = "1/2"
        shown.tick(0.0801)
        assert len(shown._rewards) == 3
        shown._toggle()
        shown.tick(1.0)
        assert len(shown._rewards) == 3
        shown._single()
        assert len(shown._rewards) == 4
        shown._restart()
        assert len(shown._rewards) == 0


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--step", "5"], "no checkpoint 5; it has 1234"),
        (["--port", "0"], "port must be from 1 to 65535, not 0"),
        (["--seed", "-1"], "seed must be from 0 to 4294967295, not -1"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1:8080: "),
    ],
)
def test_watch_refuses(
    pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch, args: list[str], words: str
) -> None:
    assert words in refusal(monkeypatch, watch, "--run", pendulum_run, *args)


def test_port_in_use_is_refused(pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = refusal(monkeypatch, watch, "--run", pendulum_run, "--port", port)
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in words


@contextlib.contextmanager
def served(run: pathlib.Path, task: str, *args: str) -> Iterator[str]:
    """The address of a `train.watch` that shows a run of a task."""
    port = free_port()
    command = [sys.executable, "-m", "train.watch", "--run", str(run), "--port", str(port), *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()  # type: ignore[union-attr]
        assert line == f"{task}: http://127.0.0.1:{port} (Ctrl-C ends it)\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def browser(address: str) -> Iterator[Any]:
    """A window of a headless Chromium with the page."""
    webdriver = pytest.importorskip("selenium.webdriver")
    if not (CHROMIUM and DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--window-size=1200,800", "--enable-unsafe-swiftshader"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        driver.get(address)
        yield driver
    finally:
        driver.quit()


def canvas(driver: Any) -> np.ndarray:
    """What the page shows the robot by, uint8 [H, W, 3]."""
    png = driver.find_element("tag name", "canvas").screenshot_as_png
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="chromium and chromedriver are not installed")
def test_page_in_chromium(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    run = make_run(tmp_path / "run", "inverted_pendulum")
    save(run, 2000, seed=1)

    def text(driver: Any) -> str:
        return driver.find_element(By.TAG_NAME, "body").text

    def wait(driver: Any, words: str) -> None:
        WebDriverWait(driver, 60).until(lambda d: words in text(d), f"{words!r} not in {text(driver)!r}")

    def click(driver: Any, label: str) -> None:
        driver.find_element(By.XPATH, f"//button[normalize-space()='{label}']").click()

    def seconds(driver: Any) -> float:
        return float(text(driver).partition("time\n")[2].split()[0])

    def colours(image: np.ndarray) -> int:
        return len(np.unique(image.reshape(-1, 3), axis=0))

    with served(run, "inverted_pendulum") as address:
        with browser(address) as first, browser(address) as second:
            for driver in (first, second):
                wait(driver, "inverted_pendulum after 2,000 env steps, playing")
            WebDriverWait(first, 60).until(lambda d: colours(canvas(d)) > 50)  # the scene, not an empty background
            before = canvas(first)
            WebDriverWait(first, 60).until(lambda d: (canvas(d) != before).any())
            click(first, "Pause")
            for driver in (first, second):  # everyone sees the same
                wait(driver, "paused")
            still = seconds(first)
            time.sleep(1)
            assert seconds(first) == still
            click(second, "Reset")
            wait(first, "time\n0.00 s")
            click(first, "Step")
            wait(second, "time\n0.04 s")
            click(first, "Play")
            wait(second, "playing")
            # Another checkpoint by its dropdown, then one that has gone.
            box = first.find_element(By.XPATH, "//input[@value='newest']")
            box.click()
            first.find_element(By.XPATH, "//*[@role='option'][normalize-space()='1234']").click()
            wait(second, "after 1,234 env steps")
            shutil.rmtree(checkpoint_format.folder(run) / "1234")
            time.sleep(2)
            wait(first, "after 1,234 env steps, playing")
            first.save_screenshot(str(tmp_path / "page.png"))
        with browser(address) as third:  # all tabs were closed, and the page still lives
            wait(third, "after 1,234 env steps, playing")
