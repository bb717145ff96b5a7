"""How far a command is: a bar on a terminal, and a line now and then where there is none."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TypeVar, cast

from rich.console import Console
from rich.progress import Progress

from awr_mjx.train.console.screen import duration
from awr_mjx.train.console.unfailing import Unfailing

T = TypeVar("T")
FIRST, BETWEEN = 8.0, 20.0  # seconds before the first line, and between two


@contextlib.contextmanager
def working(words: str, total: float | None = None) -> Iterator[Callable[[float], None]]:
    """Shows on stderr what is being done, in `words`, and how far it is; yields a function that takes how much is done.

    Without a `total` nobody knows how much there is to do. What takes a few seconds alone leaves nothing behind.
    """
    out = cast(IO[str], Unfailing(sys.stderr))
    if out.isatty():
        with Progress(console=Console(file=out), transient=True) as progress:
            task = progress.add_task(words, total=total)
            yield lambda done: progress.update(task, completed=done)
        return
    done, over = [0.0], threading.Event()
    lines = threading.Thread(target=_lines, args=(out, words, total, done, over), daemon=True)
    lines.start()
    try:
        yield lambda now: done.__setitem__(0, now)
    finally:
        over.set()
        lines.join()


def _lines(out: IO[str], words: str, total: float | None, done: list[float], over: threading.Event) -> None:
    began, wait = time.monotonic(), FIRST
    while not over.wait(wait):
        wait, share = BETWEEN, done[0] / total if total else 0.0
        left = (time.monotonic() - began) * (1 - share) / share if share else 0.0
        out.write(f"{words}: {share:.0%}, {duration(left)} left\n" if share else f"{words} ...\n")
        out.flush()


def track(items: Iterable[T], words: str, total: int | None = None) -> Iterator[T]:
    """The `items`, of which there are `total` (if they do not say so themselves), with how far they are."""
    count = len(items) if total is None and isinstance(items, Sequence) else total
    with working(words, count) as tell:
        for i, item in enumerate(items):
            tell(i)
            yield item
