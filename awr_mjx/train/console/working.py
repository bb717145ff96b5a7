"""How far a command is: a bar on a terminal, and a line now and then where there is none."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, TypeVar, cast

from rich.console import Console
from rich.progress import Progress, TaskID

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
            yield _from_first(progress, task)
        return
    done, over = [0.0], threading.Event()
    lines = threading.Thread(target=_lines, args=(out, words, total, done, over), daemon=True)
    lines.start()
    try:
        yield lambda now: done.__setitem__(0, now)
    finally:
        over.set()
        lines.join()


def _from_first(progress: Progress, task: TaskID) -> Callable[[float], None]:
    """Tells a bar how much is done; the first of it takes longest, for it is compiled, and says nothing of the rest."""
    begun = False

    def tell(done: float) -> None:
        nonlocal begun
        if done and not begun:
            begun = True
            progress.reset(task)
        progress.update(task, completed=done)

    return tell


def _lines(out: IO[str], words: str, total: float | None, done: list[float], over: threading.Event) -> None:
    first, since, wait = 0.0, 0.0, FIRST  # what was done first, and when that was seen
    while not over.wait(wait):
        wait, now, seen = BETWEEN, time.monotonic(), done[0]
        if seen and not first:
            first, since = seen, now
        line = f"{words}: {seen / total:.0%}" if total and seen else f"{words} ..."
        if total and seen > first:
            line += f", {duration((now - since) * (total - seen) / (seen - first))} left"
        out.write(f"{line}\n")
        out.flush()


def track(items: Iterable[T], words: str, total: int | None = None) -> Iterator[T]:
    """The `items`, of which there are `total` (if they do not say so themselves), with how far they are."""
    count = len(items) if total is None and isinstance(items, Sequence) else total
    with working(words, count) as tell:
        for i, item in enumerate(items):
            tell(i)
            yield item
