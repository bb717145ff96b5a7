"""What a run writes down: metrics.jsonl, TensorBoard, Weights & Biases. None of them can hold up or end a training."""

import contextlib
import json
import math
import pathlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from awr_mjx.train.console.errors import UserError, warn
from awr_mjx.train.console.files import replacing

CLOCKS = ("env_steps", "gradient_steps")  # a line counts in the first of them that it has
FLUSH_SECONDS = 10.0  # between two waits for the disk to have TensorBoard's events

Values = dict[str, float]


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
            ("metrics.jsonl", lambda: _Lines(run / "metrics.jsonl", clock)),
            ("TensorBoard", lambda: _Board(run / "tensorboard", resumed_at)),
        ]
        if wandb_config is not None:
            logged = _weights_and_biases(run, wandb_config)
            opened.append(("Weights & Biases", lambda: _Wandb(logged, clock)))
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
            if name != "metrics.jsonl":
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


class _Board:
    """TensorBoard's file of events, written at once: `SummaryWriter` has a thread for it, and waits for it for ever."""

    def __init__(self, folder: pathlib.Path, resumed_at: int | None) -> None:
        folder.mkdir(exist_ok=True)
        self._events = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._flushed = time.monotonic()
        if resumed_at is not None:  # TensorBoard forgets what an earlier file has from this step on
            session = SessionLog(status=SessionLog.START)
            self._events.write_event(Event(wall_time=time.time(), step=resumed_at + 1, session_log=session))

    def write(self, step: int, values: Values) -> None:
        for name, value in values.items():
            event = Event(wall_time=time.time(), step=step, summary=scalar(name, value))
            self._events.write_event(event)
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._events.flush()
            self._flushed = time.monotonic()

    def close(self) -> None:
        self._events.close()


class _Wandb:
    """A run of Weights & Biases."""

    def __init__(self, run: Any, clock: str) -> None:
        self._run, self._clock, self._last = run, clock, 0

    def write(self, step: int, values: Values) -> None:
        self._last = max(step, self._last)  # it takes no step back, as an evaluation that is told later would be
        self._run.log({self._clock: step, **values}, step=self._last)

    def close(self) -> None:
        self._run.finish()


def newest(logged: Iterable[Values]) -> Values:
    """The newest value of everything in `lines`."""
    found: Values = {}
    for values in logged:
        found |= values
    return found


def _weights_and_biases(run: pathlib.Path, config: dict[str, Any]) -> Any:
    """A run of Weights & Biases with the folder's name; a resumed one goes on in the same, wherever it lies now."""
    import wandb

    note = run / "wandb_id"
    try:
        if not note.exists():
            note.write_text(secrets.token_hex(6) + "\n")
        return wandb.init(
            project="awr_mjx",
            name=run.name,
            id=note.read_text().strip(),
            dir=str(run.resolve()),
            config=config,
            resume="allow",
            settings=wandb.Settings(silent=True),
        )
    except (wandb.errors.Error, OSError) as error:
        words = " ".join(str(error).split())[:200]
        raise UserError(f"Weights & Biases: {words}: log in (wandb login), or set WANDB_MODE=offline") from error
