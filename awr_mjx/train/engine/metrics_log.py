"""What a run writes down: metrics.jsonl, TensorBoard, Weights & Biases. None of them can hold up or end a training."""

import contextlib
import json
import math
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from awr_mjx.train.console.errors import warn
from awr_mjx.train.console.files import replacing
from awr_mjx.train.engine import boards

LINES = "metrics.jsonl"
CLOCKS = ("env_steps", "gradient_steps")  # a line counts in the first of them that it has

Values = boards.Values


def lines(run: pathlib.Path, last: float = math.inf) -> list[Values]:
    """The lines of a run's `metrics.jsonl` up to `last` steps, by their steps; an evaluation may be told late.

    What is not a number is left out, and so are lines that were cut off by a kill or a full disk, or spoilt otherwise.
    """
    path, found = run / "metrics.jsonl", list[Values]()
    for line in path.read_bytes().splitlines() if path.is_file() else []:
        with contextlib.suppress(ValueError, TypeError, AttributeError, LookupError):
            values = {name: value for name, value in json.loads(line).items() if type(value) in (int, float)}
            if step_of(values) <= last:
                found.append(values)
    return sorted(found, key=step_of)


def step_of(values: Values) -> float:
    """The steps after which a line was written.

    Raises:
      LookupError: if it does not say.
    """
    for clock in CLOCKS:
        if clock in values:
            return values[clock]
    raise LookupError("a line has no step")


def _finite(values: Values) -> Values:
    """The values that are finite: JSON has no word for the others."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


class MetricsLog:
    """The logs of one run; what goes wrong with one of them is a warning, once."""

    def __init__(
        self,
        run: pathlib.Path,
        resumed_at: int | None,
        wandb_config: dict[str, Any] | None = None,
        clock: str = CLOCKS[0],
    ) -> None:
        """Opens the logs in `run`; lines past `resumed_at` steps belong to work that is now repeated and go.

        `clock` is what the steps are called.

        With `wandb_config`, the run's settings, Weights & Biases gets everything too.

        Raises:
          UserError: if Weights & Biases will not have it.
        """
        self.newest: Values = {}
        """The newest value of everything that a resumed run has logged before."""
        self.again = 0
        """Steps that it has logged after its checkpoint."""
        if resumed_at is not None:
            self._cut(run, resumed_at)
        opened: list[tuple[str, Callable[[], Any]]] = [
            (LINES, lambda: _Lines(run / LINES, clock)),
            ("TensorBoard", lambda: boards.TensorBoard(run / "tensorboard", resumed_at)),
        ]
        if wandb_config is not None:
            logged = boards.begun(run, wandb_config)
            opened.append(("Weights & Biases", lambda: boards.WeightsAndBiases(logged, clock)))
        self.listener: Callable[[int, Values], None] | None = None
        """Who is told of everything besides, if anybody."""
        self._logs: dict[str, Any] = {}
        self._warned: set[str] = set()
        for name, log in opened:
            with self._guarded(name):
                self._logs[name] = log()

    def _cut(self, run: pathlib.Path, last: int) -> None:
        every = lines(run)
        kept = [values for values in every if step_of(values) <= last]
        self.again = max(int(max((step_of(values) for values in every), default=0)) - last, 0)
        self.newest = newest(kept)
        with replacing(run / "metrics.jsonl") as part:
            part.write_text("".join(json.dumps(_finite(values), allow_nan=False) + "\n" for values in kept))

    @contextlib.contextmanager
    def _guarded(self, name: str) -> Iterator[None]:
        """Whatever goes wrong in here is one warning; TensorBoard, whose file is then spoilt, gets no more."""
        try:
            yield
        except Exception as error:  # of whatever kind these packages raise
            if name not in self._warned:
                words = " ".join((getattr(error, "strerror", None) or str(error)).split())
                warn([f"{name} is not complete: {words}; training goes on"])
            self._warned.add(name)
            if name != LINES:
                failed = self._logs.pop(name, None)
                with contextlib.suppress(Exception):
                    if failed:
                        failed.close()

    def write(self, step: int, values: Values) -> None:
        """Logs named numbers at `step`; those that are not finite are left out."""
        values = _finite(values)
        for name, log in list(self._logs.items()):
            with self._guarded(name):
                log.write(step, values)
        if self.listener:
            self.listener(step, values)

    def describe(self, step: int, texts: dict[str, str]) -> None:
        """Puts texts in Markdown, by name, where there is a place for them."""
        for name, log in self._boards():
            with self._guarded(name):
                for title, words in texts.items():
                    log.say(step, title, words)

    def show(self, step: int, film: pathlib.Path, size: tuple[int, int]) -> None:
        """Shows the GIF `film` of `size`, width and height in pixels, where there is a place for it."""
        for name, log in self._boards():
            with self._guarded(name):
                log.show(step, film, size)

    def _boards(self) -> list[tuple[str, Any]]:
        return [(name, log) for name, log in self._logs.items() if name != LINES]

    def close(self) -> None:
        """Flushes and closes all; once more does nothing."""
        while self._logs:
            name, log = self._logs.popitem()
            with self._guarded(name):
                log.close()


class _Lines:
    """A JSON line for every call of `write`, on the disk when it returns."""

    def __init__(self, path: pathlib.Path, clock: str) -> None:
        self._file, self._clock = path.open("ab", buffering=0), clock
        self._torn = False

    def write(self, step: int, values: Values) -> None:
        line = json.dumps({self._clock: step, **values}, allow_nan=False).encode() + b"\n"
        line = b"\n" * self._torn + line  # a full disk may take a part of a line, which readers leave out
        self._torn = True
        written = self._file.write(line)
        if written < len(line):
            self._file.write(line[written:])  # raises what is wrong
        self._torn = False

    def close(self) -> None:
        self._file.close()


def newest(logged: Iterable[Values]) -> Values:
    """The newest value of everything in `lines`."""
    found: Values = {}
    for values in logged:
        found |= values
    return found
