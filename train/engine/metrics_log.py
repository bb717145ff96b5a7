"""What a run writes and shows: metrics.jsonl, TensorBoard, one live progress line (plain lines in a pipe)."""

import hashlib
import json
import pathlib
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text
from tensorboardX import SummaryWriter

from train.console.errors import UserError

PLAIN_SECONDS = 10.0  # between two progress lines in a pipe


class MetricsLog:
    """`metrics.jsonl` and TensorBoard files of one run; a full disk costs log lines, never the training."""

    def __init__(self, run: pathlib.Path, resumed_at: int | None, wandb_config: dict[str, Any] | None = None) -> None:
        """Opens the logs in `run`; lines past `resumed_at` env steps belong to work that is now repeated and go.

        With `wandb_config`, the run's settings, Weights & Biases gets everything too.

        Raises:
          UserError: if Weights & Biases will not have it.
        """
        self._path = run / "metrics.jsonl"
        self.newest: dict[str, float] = {}
        """The newest value of everything that a resumed run has logged before."""
        if resumed_at is not None:
            self._cut(resumed_at)
        self._file = self._path.open("a")
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=resumed_at)
        self._wandb = None if wandb_config is None else _weights_and_biases(run, wandb_config)
        self.failed = False

    def _cut(self, last: int) -> None:
        kept = []
        for line in self._path.read_text().splitlines() if self._path.exists() else []:
            try:
                values = json.loads(line)
                if values["env_steps"] <= last:
                    kept.append(line + "\n")
                    self.newest |= values
            except ValueError:
                continue  # the line that was being written when the process was killed
        part = self._path.with_name("metrics.jsonl.part")
        part.write_text("".join(kept))
        part.replace(self._path)

    def write(self, env_steps: int, values: dict[str, float]) -> None:
        """Logs named numbers at `env_steps`."""
        try:
            self._file.write(json.dumps({"env_steps": env_steps, **values}) + "\n")
            self._file.flush()
            for name, value in values.items():
                self._board.add_scalar(name, value, env_steps)
            if self._wandb:
                self._wandb.log(values, step=env_steps)
        except OSError as error:
            if not self.failed:
                print(f"warning: metrics are not logged: {error.strerror}", file=sys.stderr)
            self.failed = True

    def close(self) -> None:
        """Flushes and closes both."""
        try:
            self._file.close()
            self._board.close()
            if self._wandb:
                self._wandb.finish()
        except OSError:
            pass


def _weights_and_biases(run: pathlib.Path, config: dict[str, Any]) -> Any:
    """A run of Weights & Biases with the folder's name; a resumed one goes on in the same."""
    import wandb

    place = str(run.resolve())
    try:
        return wandb.init(
            project="awr_mjx",
            name=run.name,
            id=hashlib.sha256(place.encode()).hexdigest()[:12],
            dir=place,
            config=config,
            resume="allow",
            settings=wandb.Settings(silent=True),
        )
    except wandb.errors.Error as error:
        words = " ".join(str(error).split())[:200]
        raise UserError(f"Weights & Biases: {words}: log in (wandb login), or set WANDB_MODE=offline") from error


class _Facts(ProgressColumn):
    """The numbers behind the bar."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["facts"], style="cyan")


class Screen:
    """What the user sees while a run goes on."""

    def __init__(self, total_steps: int, minutes: float) -> None:
        """A run ends after `total_steps` env steps or `minutes` (0: no limit), whichever comes first."""
        self._console = Console(highlight=False, soft_wrap=True)
        self._whole = f"{total_steps:,} env steps" + (f" or {minutes:g} minutes" if minutes else "")
        self._last = 0.0
        self._begun: tuple[float, float] | None = None  # time and share of the first line
        self._live: Progress | None = None
        if self._console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(16), TimeRemainingColumn(), _Facts())
            self._live = Progress(*columns, console=self._console, refresh_per_second=4)
            self._task = self._live.add_task("", total=1.0, facts="")
            self._live.start()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text)
        sys.stdout.flush()

    def progress(
        self, steps: int, share: float, values: dict[str, float], mode_return: float | None, quarantined: int
    ) -> None:
        """Moves the progress line on to `steps`, a `share` of the run.

        `values` are an epoch's metrics, `quarantined` is the run's count.
        """
        mode = "-" if mode_return is None else f"{mode_return:.0f}"
        place = f"{steps:,} of {self._whole}, {min(share, 1):.0%}"
        facts = (
            f"{values['env_steps_per_second']:,.0f} env steps/s, reward/step {values['reward_per_step']:.2f}, "
            f"mode return {mode}, quarantined {quarantined}"
        )
        if self._live:
            self._live.update(self._task, completed=share, description=place, facts=facts)
        elif time.monotonic() - self._last >= PLAIN_SECONDS:
            self._last = time.monotonic()
            begun, start = self._begun = self._begun or (self._last, share)
            left = (self._last - begun) * max(1 - share, 0) / max(share - start, 1e-9)
            self.say(f"{place}, {_clock(left) if share > start else '-'} left, {facts}")

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._live:
            self._live.stop()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
