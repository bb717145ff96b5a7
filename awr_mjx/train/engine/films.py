"""Films of evaluations, drawn by a process beside the training, for TensorBoard and Weights & Biases."""

import pathlib
import subprocess
import sys

from awr_mjx.train.console.screen import Screen
from awr_mjx.train.engine import surroundings
from awr_mjx.train.engine.metrics_log import MetricsLog

SIZE = 320, 240  # pixels


class Films:
    """Draws the policy after each evaluation, if the one before is drawn; nothing that goes wrong ends a training."""

    def __init__(self, run: pathlib.Path, seconds: float, log: MetricsLog, screen: Screen) -> None:
        """Films of `seconds` of simulated time, in `run`/films; none if that is 0."""
        self._run, self._seconds, self._log, self._screen = run, seconds, log, screen
        self._drawing: tuple[subprocess.Popen[str], int] | None = None
        self._warned = False

    def begin(self, step: int) -> None:
        """Begins to draw the policy of the checkpoint after `step` steps, which is on the disk."""
        self.take()
        if not self._seconds or self._drawing:
            return
        args: list[object] = ["--run", self._run, "--step", step, "--out", self._place(step)]
        args += ["--seconds", self._seconds, "--width", SIZE[0], "--height", SIZE[1]]
        try:
            self._place(step).parent.mkdir(exist_ok=True)
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "awr_mjx.train.render", *map(str, args)],
                env=surroundings.of_programs(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for the training
            )
        except OSError as error:
            self._warn(error.strerror)
        else:
            self._drawing = process, step

    def take(self, wait: bool = False) -> None:
        """Shows the film that is drawn, if it is ready, or when it is (`wait`)."""
        if not self._drawing or (not wait and self._drawing[0].poll() is None):
            return
        (process, step), self._drawing = self._drawing, None
        words = process.communicate()[1].strip().splitlines()
        if process.returncode:
            self._warn(words[-1].removeprefix("error: ") if words else f"it ended with {process.returncode}")
        else:
            self._log.show(step, self._place(step), SIZE)

    def close(self) -> None:
        """Ends what is being drawn."""
        if self._drawing:
            self._drawing[0].kill()
            self._drawing[0].communicate()

    def _place(self, step: int) -> pathlib.Path:
        return self._run / "films" / f"{step}.gif"

    def _warn(self, why: str | None) -> None:
        if not self._warned:
            self._screen.say(f"warning: no film of the evaluation: {why}")
        self._warned = True
