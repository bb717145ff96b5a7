"""The live page: a policy's robot in the browser, with buttons and plots. Everyone who opens it sees the same robot."""

import contextlib
import copy
import importlib.util
import io
import pathlib
import queue
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from awr_mjx.envs.base import action_names
from awr_mjx.envs.packages import install
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.player import Player
from awr_mjx.train.pictures.clip_page import Ghost, Places
from awr_mjx.train.pictures.live import Live

SPEEDS = {"1/8": 0.125, "1/4": 0.25, "1/2": 0.5, "1": 1.0, "2": 2.0, "4": 4.0}
NEWEST = "newest"
FRAME = 1 / 30  # s between two pictures
PLOT = 0.2  # s between two updates of the plots
LOOK = 1.0  # s between two looks at the checkpoints
HISTORY = 300  # control steps in the plots
PUSHES = {"forward": (1, 0, 0), "back": (-1, 0, 0), "left": (0, 1, 0), "right": (0, -1, 0), "up": (0, 0, 1)}


class Page:
    """The page and its buttons. Browsers call from threads of their own; what they want is queued and done in `tick`.

    Attributes:
      playing: whether time goes on.
    """

    def __init__(
        self,
        server: Any,
        player: Player,
        live: Live,
        run: pathlib.Path | None = None,
        follow: bool = False,
        seed: int = 0,
    ) -> None:
        """Puts scene and buttons on a `viser` server.

        Other checkpoints are looked for in `run`, if there is one, of which it shows the newest if it is to `follow`.
        Episodes follow from `seed`.
        """
        import mujoco
        from mjviser import ViserMujocoScene

        self._live, self._server, self._run, self._first_seed = live, server, run, seed
        self._model = copy.deepcopy(player.env.mj_model)  # type: ignore[attr-defined]  # the scene changes its colours
        self._data = mujoco.MjData(self._model)
        self._template = jax.eval_shape(player.learner.init, jax.random.key(0))
        self._action_names = ["action"] if player.env.discrete else action_names(player.env)
        self._dt, self._task = player.env.dt, player.config.env
        self._clock = player.config.clock_words
        self._wishes: queue.Queue[Callable[[], None]] = queue.Queue()
        self._history: deque[tuple[float, ...]] = deque(maxlen=HISTORY)
        self._budget = 0.0
        self._drawn = self._plotted = self._looked = 0.0
        self._follow = follow
        self._notice = ""
        self.playing = True
        self._scene = ViserMujocoScene(server, self._model, num_envs=1)
        fixed = self._scene.fixed_bodies_frame.name
        self._ghost = None if live.shown.ghost is None else Ghost(server, self._model, fixed)
        self._clips = [pathlib.Path(name).stem for name in player.config.task.clip]
        self._build()

    def _build(self) -> None:
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.main_panel.dock_right()
        self._status = gui.add_markdown("")
        self._play = gui.add_button("Pause")
        self._play.on_click(lambda _: self._wish(self._toggle))
        gui.add_button("Step").on_click(lambda _: self._wish(self._single))
        gui.add_button("Reset").on_click(lambda _: self._wish(self._restart))
        self._speed = gui.add_dropdown("Speed", list(SPEEDS), initial_value="1")
        self._action = gui.add_dropdown("Action", ["mode", "sampled"], initial_value="mode")
        self._action.on_update(lambda _: self._wish(self._choose_action))
        self._seed = gui.add_number("Seed", self._first_seed, min=0, max=2**32 - 1, step=1)
        self._seed.on_update(lambda _: self._wish(self._restart))
        if self._run:
            chosen = NEWEST if self._follow else str(self._live.trained)
            self._checkpoint = gui.add_dropdown("Checkpoint", self._options(self._run), initial_value=chosen)
            self._checkpoint.on_update(lambda _: self._wish(self._choose_checkpoint))
        if self._live.clip_seconds:
            self._places = Places(gui, self._live.clip_seconds, self._clips, self._begin_in)
        if self._live.can_be_pushed:
            with gui.add_folder("Push"):
                self._strength = gui.add_slider("m/s", min=0.1, max=3.0, step=0.1, initial_value=1.0)
                buttons = gui.add_button_group("Direction", list(PUSHES))
                buttons.on_click(lambda event: self._wish(lambda: self._push(event.target.value)))
        with gui.add_folder("Reward and action"):
            self._rewards = self._curves(["reward"])
            self._actions = self._curves(self._action_names)
        with gui.add_folder("Camera", expand_by_default=False):
            self._scene.create_scene_gui()

    def _curves(self, lines: list[str]) -> Any:
        """A plot over seconds of lines with these names."""
        hues = [(220 + 360 * i // len(lines)) % 360 for i in range(len(lines))]
        colors = [f"hsl({hue}, 70%, 45%)" for hue in hues]
        series = ({"label": "s"}, *({"label": name, "stroke": c} for name, c in zip(lines, colors, strict=True)))
        empty = tuple([np.zeros(1)] * len(series))
        return self._server.gui.add_uplot(empty, series, scales={"x": {"time": False}}, aspect=2.0)

    def _wish(self, act: Callable[[], None]) -> None:
        self._wishes.put(act)

    def _toggle(self) -> None:
        self.playing = not self.playing
        self._play.label = "Pause" if self.playing else "Play"

    def _single(self) -> None:
        if self.playing:
            self._toggle()
        self._advance()

    def _restart(self) -> None:
        self._afresh(lambda: self._live.reset(int(self._seed.value)))

    def _begin_in(self, clip: int, seconds: float) -> None:
        self._wish(lambda: self._afresh(lambda: self._live.begin_in(clip, seconds)))

    def _afresh(self, begin: Callable[[], None]) -> None:
        begin()
        self._history.clear()
        self._budget = 0.0

    def _choose_action(self) -> None:
        self._live.sampled = self._action.value == "sampled"

    def _push(self, direction: str) -> None:
        strength = float(self._strength.value)
        self._live.push(tuple(strength * x for x in PUSHES[direction]))  # type: ignore[arg-type]

    def _choose_checkpoint(self) -> None:
        chosen = self._checkpoint.value
        self._follow = chosen == NEWEST
        if not self._follow and int(chosen) != self._live.trained:
            self._load(int(chosen))
        self._looked = 0.0

    def _load(self, step: int | None) -> None:
        """Another checkpoint's policy; what plays stays if that cannot be read."""
        assert self._run, "it has checkpoints"
        try:
            env_steps, learned, _ = restoring.restore_learner(self._run, self._template, step)
            self._live.use(learned, env_steps)
            self._notice = ""
        except UserError as error:
            self._notice = f"{error}; still showing {self._live.trained:,}"

    def _options(self, run: pathlib.Path) -> list[str]:
        there = restoring.steps(run)
        return [NEWEST, *(str(step) for step in sorted({*there, self._live.trained}, reverse=True))]

    def _look(self) -> None:
        """Finds what training has saved or removed since the last look."""
        if not self._run:
            return
        there = restoring.steps(self._run)
        if self._follow and there and max(there) != self._live.trained:
            self._load(None)
        options = tuple(self._options(self._run))
        if options != tuple(self._checkpoint.options):
            self._checkpoint.options = options

    def _advance(self) -> None:
        self._live.step()
        shown = self._live.shown
        if shown.steps == 0:
            self._history.clear()
            return
        self._history.append((shown.steps * self._dt, shown.reward, *(float(x) for x in shown.action)))

    def tick(self, passed: float) -> None:
        """Does what browsers have asked for, and lets `passed` seconds of wall-clock time go by."""
        while not self._wishes.empty():
            self._wishes.get()()
        now = time.monotonic()
        if self.playing:
            # A computer that is too slow falls behind instead of never drawing again.
            self._budget = min(self._budget + passed * SPEEDS[self._speed.value], max(4 * self._dt, 0.25))
            begun = time.monotonic()
            while self._budget >= self._dt and time.monotonic() - begun < FRAME:
                self._budget -= self._dt
                self._advance()
        if now - self._looked >= LOOK:
            self._looked = now
            self._look()
        if now - self._drawn >= FRAME:
            self._drawn = now
            self._draw()
        if now - self._plotted >= PLOT:
            self._plotted = now
            self._plot()

    def _draw(self) -> None:
        import mujoco

        shown = self._live.shown
        self._data.qpos[:] = shown.pose
        mujoco.mj_kinematics(self._model, self._data)
        self._scene.update_from_mjdata(self._data)
        if self._ghost and shown.ghost is not None:
            self._ghost.show(shown.ghost)

    def _plot(self) -> None:
        shown = self._live.shown
        state = "playing" if self.playing else "paused"
        words = [f"**{self._task}** after {self._live.trained:,} {self._clock}, {state}"]
        words.append(f"time {shown.steps * self._dt:.2f} s, step {shown.steps:,}")
        words.append(f"return {shown.total:,.1f}, reward {shown.reward:.2f}")
        if self._notice:
            words.append(f"*{self._notice}*")
        self._status.content = "  \n".join(words)
        if self._history:
            columns = tuple(np.array(column) for column in zip(*self._history, strict=True))
            self._rewards.data = columns[:2]
            self._actions.data = (columns[0], *columns[2:])


def make_server(host: str, port: int) -> Any:
    """A `viser` server on the address asked for.

    Raises:
      UserError: if viser is not installed, or the address cannot be listened on.
    """
    if importlib.util.find_spec("viser") is None or importlib.util.find_spec("mjviser") is None:
        raise UserError(f"viser and mjviser are not installed: {install('watch')}")
    with socket.socket() as probe:  # viser would quietly take another port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    import viser

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its address in a box; we do in a line
        return viser.ViserServer(host=host, port=port, label="awr_mjx", verbose=False)


def serve(
    player: Player, host: str, port: int, seed: int = 0, run: pathlib.Path | None = None, follow: bool = False
) -> None:
    """Shows a policy on a page of `http://host:port` until it is interrupted; the rest is said at `Page`.

    Raises:
      UserError: if its task cannot be shown, viser is not installed, or the address cannot be listened on.
    """
    if not hasattr(player.env, "mj_model"):
        raise UserError(f"task {player.config.env!r} cannot be watched: it has no MuJoCo model")
    live = Live(player, seed)
    server = make_server(host, port)
    try:
        page = Page(server, player, live, run, follow, seed)
        print(f"{player.config.env}: http://{host}:{server.get_port()} (Ctrl-C ends it)", flush=True)
        last = time.monotonic()
        while True:
            now = time.monotonic()
            page.tick(now - last)
            last = now
            time.sleep(0.004)
    finally:
        server.stop()
