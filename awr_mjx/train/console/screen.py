"""What the user of a training sees: lines that stay, and one line that moves on (plain lines in a pipe)."""

import contextlib
import math
import sys
import threading
import time
from collections.abc import Iterator
from typing import IO, cast

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from awr_mjx.train.console.unfailing import Unfailing

PLAIN_SECONDS = 10.0  # between two progress lines in a pipe
BUSY_SECONDS = 8.0  # before a line in a pipe says what is waited for
BAR, LONG_BAR, WIDE = 6, 18, 110  # characters; the longer one on a terminal at least that wide

Field = tuple[str, str]  # what a progress line says, in full and in short


class Screen:
    """What the user sees while a run goes on. Nothing here raises, whatever becomes of the terminal or the pipe."""

    def __init__(self, total_steps: int | None, minutes: float, clock: str = "env_steps", quiet: bool = False) -> None:
        """A run ends after `total_steps` of its `clock` (None: no limit) or `minutes` (0: no limit).

        One that is `quiet` shows nothing.
        """
        out = cast(IO[str], Unfailing(sys.stdout))
        # A notebook says that it is a terminal, and shows every step of what moves below the one before.
        terminal = False if Console().is_jupyter else None
        self._console = Console(
            file=out, highlight=False, soft_wrap=True, quiet=quiet, force_jupyter=False, force_terminal=terminal
        )
        self._clock, self._total, self._minutes = clock.replace("_", " "), total_steps, minutes
        self._last = -math.inf
        self._share, self._fields = 0.0, list[Field]()
        self._busy: tuple[str, float] | None = None  # with what, and since when
        self._live: Live | None = None
        if self._console.is_terminal and not quiet:
            self._live = Live(console=self._console, refresh_per_second=4, get_renderable=self._line, transient=True)
            self._live.start()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, markup=False, emoji=False)
        self._console.file.flush()

    def progress(
        self,
        steps: int,
        share: float,
        left: float | None,
        values: dict[str, float],
        mode_return: float | None,
        quarantined: int,
    ) -> None:
        """Moves the progress line on to `steps`, a `share` of the run, with `left` seconds to its end (None: unknown).

        `values` are an epoch's metrics, `quarantined` is the run's count.
        """
        now = time.monotonic()
        self._share = min(share, 1.0)
        words = "" if left is None else duration(left)
        whole = self._whole(self._share)
        self._fields = fields(steps, whole, self._share, words, values, mode_return, quarantined, self._clock)
        if self._live is None and now - self._last >= PLAIN_SECONDS:
            self._last = now
            self.say(", ".join(long for long, _ in self._fields))

    @contextlib.contextmanager
    def busy(self, words: str, said: bool = False) -> Iterator[None]:
        """While the training waits for something, `words` say for what, in place of the time that is left.

        Where no line moves, they are a line of their own if it takes long, unless that has been `said`.
        """
        self._busy = words, time.monotonic()
        line = threading.Timer(BUSY_SECONDS, self.say, [f"{words} ..."])
        if self._live is None and not said:
            line.start()
        try:
            yield
        finally:
            line.cancel()
            self._busy = None

    def _whole(self, share: float) -> Field:
        """What the steps are of, at a `share` of the run, in full and in short."""
        words, limit = self._clock, 60 * self._minutes
        if self._total is None:
            time = f", {duration(share * limit)} of {duration(limit)}"
            return f"{words}{time} of training", f"steps{time}"
        more = f" or {self._minutes:g} minutes" if limit else ""
        return f"of {self._total:,} {words}{more}", f"of {short(self._total)} steps{more}"

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._live:
            self._live.stop()

    def last_words(self, text: str) -> None:
        """The last line of a program that ends where it is."""
        self.close()
        self.say(text)

    def _line(self) -> Table:
        """The line that moves, on one row of the terminal."""
        grid, found, busy = Table.grid(padding=(0, 1, 0, 0)), self._fields, self._busy  # another thread draws it
        if busy:
            words = f"{busy[0]} {duration(time.monotonic() - busy[1])}"
            found = [*found[:1], (words, words), *(field for field in found[1:] if not field[0].endswith(" left"))]
        if found:
            width = LONG_BAR if self._console.width >= WIDE else BAR
            line = fit(found, self._console.width - width - 3)
            bar = ProgressBar(total=1.0, completed=self._share, width=width)
            grid.add_row(bar, Text(line, style="cyan", no_wrap=True, overflow="ellipsis"))
        return grid


def fields(
    steps: int,
    whole: Field,
    share: float,
    left: str,
    values: dict[str, float],
    mode_return: float | None,
    quarantined: int,
    clock: str = "env steps",
) -> list[Field]:
    """What a progress line says, what matters most first. `left` is empty, and metrics are left out, if not known."""
    found = [(f"{share:.0%}", f"{share:.0%}")]
    if left:
        found.append((f"{left} left", f"{left} left"))
    if quarantined:
        found.append((f"{quarantined:,} quarantined", f"{short(quarantined)} quarantined"))
    if mode_return is not None:
        found.append((f"mode return {number(mode_return)}", f"return {number(mode_return)}"))
    found.append((f"{steps:,} {whole[0]}", f"{short(steps)} {whole[1]}"))
    speed = values[f"{clock.replace(' ', '_')}_per_second"]
    found.append((f"{speed:,.0f} {clock}/s", f"{short(speed)}/s"))
    if "reward_per_step" in values:
        reward = number(values["reward_per_step"])
        found.append((f"reward/step {reward}", f"reward {reward}"))
    return found


def fit(found: list[Field], width: int) -> str:
    """The fields in a line of at most `width` characters: in full, in short, or the first few of them."""
    for line in (", ".join(field[form] for field in found) for form in (0, 1)):
        if len(line) <= width:
            return line
    shown = [field[1] for field in found]
    while len(shown) > 1 and len(", ".join(shown)) > width:
        shown.pop()
    return ", ".join(shown)[: max(width, 0)]


def duration(seconds: float) -> str:
    """`seconds` for people: '0:09', '1:40', '1:39:00'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def number(value: float, digits: int = 3) -> str:
    """A return or a reward for people, in `digits` significant digits or whole: '2,228', '12.3', '0.00412'."""
    return f"{value:,.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def short(count: float) -> str:
    """A count in a few characters: '950', '18.7k', '3.15M'."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit}"
    return f"{count:.3g}"
