"""Shows a run's policy live in the browser: `python -m train.watch --run RUN`.

The page plays, pauses, resets and pushes the body, and shows actions, rewards and values. It follows the newest
checkpoint while a training runs, or shows any one that is still there. Everyone who opens it sees the same environment.
"""

import dataclasses
import pathlib

import jax

from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.player import load_policy
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.streams import check_seed
from awr_mjx.train.engine.task_files import Moved, MovedOption
from awr_mjx.train.pictures.page import serve
from awr_mjx.train.pictures.painters import check_together


@dataclasses.dataclass(frozen=True)
class WatchConfig:
    """What to show, and where."""

    run: pathlib.Path
    """Run folder."""
    step: Step = None
    """Checkpoint, by its env steps, or `best`; the newest sound one, and those that come after it, if not given."""
    seed: int = 0
    """Start states follow from this."""
    together: int = 1
    """Robots on one floor, with the seeds from `seed` on."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 lets other computers in."""
    port: int = 8080
    """Port to listen on."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task are now that have been moved."""

    def validate(self) -> None:
        """Raises UserError for the first setting that makes no sense."""
        check_seed(self.seed)
        check_together(self.together)
        if not 1 <= self.port <= 65535:
            raise UserError(f"port must be from 1 to 65535, not {self.port}")


def main() -> int:
    """Serves the page until it is interrupted."""
    config = cli.parse(WatchConfig, cli.arguments(), prog=program("watch"), description="Watch a run's policy live.")
    config.validate()
    # One environment is quicker on the CPU, and an accelerator may be busy training.
    jax.config.update("jax_platforms", "cpu")
    start_jax()
    player = load_policy(config.run, config.step, config.moved)
    follow = config.step is None
    serve(player, config.host, config.port, config.seed, config.run, follow, config.together)
    return 0


if __name__ == "__main__":
    run_program(main)
