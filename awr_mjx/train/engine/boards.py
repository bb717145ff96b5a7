"""TensorBoard and Weights & Biases: numbers in groups, settings and command in words, films of evaluations."""

import pathlib
import secrets
import time
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.summary import scalar, text

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.tags import tag

FLUSH_SECONDS = 10.0  # between two waits for the disk to have TensorBoard's events

Values = dict[str, float]


class TensorBoard:
    """TensorBoard's file of events, written at once: `SummaryWriter` has a thread for it, and waits for it for ever."""

    def __init__(self, folder: pathlib.Path, resumed_at: int | None) -> None:
        folder.mkdir(exist_ok=True)
        self._events = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
        self._flushed = time.monotonic()
        if resumed_at is not None:  # TensorBoard forgets what an earlier file has from this step on
            session = SessionLog(status=SessionLog.START)
            self._events.write_event(Event(wall_time=time.time(), step=resumed_at + 1, session_log=session))

    def write(self, step: int, values: Values) -> None:
        """Named numbers at `step`."""
        for name, value in values.items():
            self._write(step, scalar(tag(name), value))
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._events.flush()
            self._flushed = time.monotonic()

    def say(self, step: int, name: str, words: str) -> None:
        """A text in Markdown, called `name`."""
        self._write(step, text(name, words))

    def show(self, step: int, film: pathlib.Path, size: tuple[int, int]) -> None:
        """The GIF `film`, which moves where TensorBoard shows images; `size` is its width and height."""
        picture = Summary.Image(width=size[0], height=size[1], colorspace=3, encoded_image_string=film.read_bytes())
        self._write(step, Summary(value=[Summary.Value(tag="eval/film", image=picture)]))

    def _write(self, step: int, summary: Any) -> None:
        self._events.write_event(Event(wall_time=time.time(), step=step, summary=summary))

    def close(self) -> None:
        """Writes out what is left."""
        self._events.close()


class WeightsAndBiases:
    """A run of Weights & Biases."""

    def __init__(self, run: Any, clock: str) -> None:
        self._run, self._clock, self._last = run, clock, 0

    def write(self, step: int, values: Values) -> None:
        """Named numbers at `step`."""
        self._log(step, {tag(name): value for name, value in values.items()})

    def say(self, step: int, name: str, words: str) -> None:
        """Nothing: the settings and the command are the run's own there."""

    def show(self, step: int, film: pathlib.Path, size: tuple[int, int]) -> None:
        """The GIF `film`."""
        import wandb

        self._log(step, {"eval/film": wandb.Video(str(film), format="gif")})

    def _log(self, step: int, values: dict[str, Any]) -> None:
        self._last = max(step, self._last)  # it takes no step back, as an evaluation that is told later would be
        self._run.log({self._clock: step, **values}, step=self._last)

    def close(self) -> None:
        """Ends its part of the run."""
        self._run.finish()


def begun(run: pathlib.Path, config: dict[str, Any]) -> Any:
    """A run of Weights & Biases with the folder's name; a resumed one goes on in the same, wherever it lies now.

    Raises:
      UserError: if Weights & Biases will not have it.
    """
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
