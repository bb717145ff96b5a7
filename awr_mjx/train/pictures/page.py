"""The live page: a policy's robot in the browser, with buttons and plots. Everyone who opens it sees the same robot."""

import contextlib
import copy
import html
import importlib.util
import io
import pathlib
import queue
import socket
import time
from collections.abc import Callable
from typing import Any

import jax

from awr_mjx.envs.base import action_names
from awr_mjx.envs.packages import install
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.player import Player
from awr_mjx.train.pictures.clip_page import Places
from awr_mjx.train.pictures.live import Live, Shown
from awr_mjx.train.pictures.painters import refuse_together
from awr_mjx.train.pictures.readings import Curve, bars, tiles
from awr_mjx.train.pictures.views import view_of

SPEEDS = {"1/8": 0.125, "1/4": 0.25, "1/2": 0.5, "1": 1.0, "2": 2.0, "4": 4.0}
NEWEST = "newest"
FRAME = 1 / 30  # s between two pictures
PLOT = 0.2  # s between two updates of the numbers, bars and plots
LOOK = 1.0  # s between two looks at the checkpoints
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
        together: int = 1,
    ) -> None:
        """Puts scene and buttons on a `viser` server.

        Other checkpoints are looked for in `run`, if there is one, of which it shows the newest if it is to `follow`.
        Episodes follow from `seed`. Robots that are `together` on one floor have the seeds from that on.
        """
        self._live, self._server, self._run, self._first_seed = live, server, run, seed
        # Copies play for themselves, with the programs that are compiled already.
        self._lives = [live, *(copy.copy(live) for _ in range(together - 1))]
        self._template = jax.eval_shape(player.learner.init, jax.random.key(0))
        self._action_names = action_names(player.env)
        self._dt, self._task = player.env.dt, player.config.env
        self._clock = player.config.clock_words
        self._wishes: queue.Queue[Callable[[], None]] = queue.Queue()
        self._budget = 0.0
        self._drawn = self._plotted = self._looked = 0.0
        self._follow, self._followed = follow, 0
        self._notice = ""
        self.playing = True
        self._view = view_of(server, player.env, together, live.shown.ghost is not None)
        self._clips = [pathlib.Path(name).stem for name in player.config.task.clip]
        self._build(bool(player.learner.config.value_updates))
        self._restart()

    def _build(self, values: bool) -> None:
        gui = self._server.gui
        gui.configure_theme(show_logo=False, show_share_button=False)
        gui.set_panel_label(
            f"{self._task}, {self._run.name}" if self._run and self._run.name != self._task else self._task
        )
        gui.main_panel.dock_right()
        self._status = gui.add_html("")
        self._buttons = gui.add_button_group("Time", ["Pause", "Step", "Reset"])
        self._buttons.on_click(lambda event: self._wish(lambda: self._press(event.target.value)))
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
        with gui.add_folder("Action"):
            self._bars = gui.add_html("")
        with gui.add_folder("Reward and value" if values else "Reward"):
            self._rewards = Curve(gui, "reward")
            self._values = Curve(gui, "value") if values else None
        self._view.controls()

    def _wish(self, act: Callable[[], None]) -> None:
        self._wishes.put(act)

    def _press(self, button: str) -> None:
        {"Step": self._single, "Reset": self._restart}.get(button, self._toggle)()

    def _toggle(self) -> None:
        self.playing = not self.playing
        self._buttons.options = ("Pause" if self.playing else "Play", "Step", "Reset")

    def _single(self) -> None:
        if self.playing:
            self._toggle()
        self._advance()

    def _restart(self) -> None:
        for i, live in enumerate(self._lives):
            live.reset((int(self._seed.value) + i) % 2**32)
        self._begin()

    def _begin_in(self, clip: int, seconds: float) -> None:
        def begin() -> None:
            for live in self._lives:
                live.begin_in(clip, seconds)
            self._begin()

        self._wish(begin)

    def _begin(self) -> None:
        self._forget()
        self._budget = 0.0

    def _forget(self) -> None:
        """Begins the plots anew."""
        for curve in filter(None, (self._rewards, self._values)):
            curve.clear()

    def _choose_action(self) -> None:
        for live in self._lives:
            live.sampled = self._action.value == "sampled"

    def _push(self, direction: str) -> None:
        strength = float(self._strength.value)
        x, y, z = (strength * part for part in PUSHES[direction])
        for live in self._lives:
            live.push((x, y, z))
        self._view.pushed((x, y, z))

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
            for live in self._lives:
                live.use(learned, env_steps)
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

    def _shown(self) -> Shown:
        """What there is to see of the robot that the camera goes after."""
        if self._view.followed != self._followed:
            self._followed = self._view.followed
            self._forget()
        return self._lives[self._followed].shown

    def _advance(self) -> None:
        for live in self._lives:
            live.step()
        shown = self._shown()
        if shown.steps == 0:
            self._forget()
            return
        self._rewards.add(shown.steps * self._dt, shown.reward)
        if self._values is not None and shown.value is not None:
            self._values.add(shown.steps * self._dt, shown.value)

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
        self._view.show([live.shown for live in self._lives])

    def _plot(self) -> None:
        shown, state = self._shown(), "playing" if self.playing else "paused"
        words = f"<b>{html.escape(self._task)}</b> after {self._live.trained:,} {self._clock}, {state}"
        if len(self._lives) > 1:
            words += f"<br>robot {self._followed + 1} of {len(self._lives)}"
        numbers = {"time": f"{shown.steps * self._dt:.2f} s", "step": f"{shown.steps:,}"}
        numbers |= {"return": f"{shown.total:,.1f}", "reward": f"{shown.reward:.2f}"}
        notice = f"<i>{html.escape(self._notice, quote=False)}</i>" if self._notice else ""
        self._status.content = f'<div style="padding:0.25em 0.75em">{words}{tiles(numbers)}{notice}</div>'
        self._bars.content = bars(self._action_names, shown)
        for curve in filter(None, (self._rewards, self._values)):
            curve.draw()


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
    player: Player,
    host: str,
    port: int,
    seed: int = 0,
    run: pathlib.Path | None = None,
    follow: bool = False,
    together: int = 1,
) -> None:
    """Shows a policy on a page of `http://host:port` until it is interrupted; the rest is said at `Page`.

    Raises:
      UserError: if its task cannot be shown, viser is not installed, or the address cannot be listened on.
    """
    if not hasattr(player.env, "mj_model") and not hasattr(player.env, "picture"):
        raise UserError(f"task {player.config.env!r} cannot be watched: it has no MuJoCo model and draws no picture")
    refuse_together(player, together)
    live = Live(player, seed)
    server = make_server(host, port)
    try:
        page = Page(server, player, live, run, follow, seed, together)
        print(f"{player.config.env}: http://{host}:{server.get_port()} (Ctrl-C ends it)", flush=True)
        last = time.monotonic()
        while True:
            now = time.monotonic()
            page.tick(now - last)
            last = now
            time.sleep(0.004)
    finally:
        server.stop()
