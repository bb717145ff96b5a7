"""What a benchmark of trainings leaves: numbers as JSON, curves as a figure."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from awr_mjx.train.benchmarks import campaign, plots
from awr_mjx.train.console import files
from awr_mjx.train.console.errors import UserError

RESULTS = "results.json"


def place(out: pathlib.Path | None, folder: pathlib.Path) -> pathlib.Path:
    """Returns where `write` is to write: `out`, or `results.json` in the runs' `folder`.

    Raises:
      UserError: before hours of training, if the numbers cannot be written there, or the figure beside them.
    """
    if out and out.suffix.lower() == ".png":
        raise UserError(f"{out} is for the numbers: name a JSON file with --out; the figure gets its name and .png")
    if out and out.resolve().parent == folder.resolve() and out.name != RESULTS:
        raise UserError(f"{out} lies among the runs and their notes: name a file elsewhere with --out")
    chosen = out or folder / RESULTS
    for path in (chosen, chosen.with_suffix(".png")) if out or folder.exists() else ():  # else all is new
        files.check_writable(path, "name another file with --out")
    return chosen


def write(
    path: pathlib.Path, result: dict[str, Any], panels: dict[str, plots.Curves], x: str, levels: Sequence[float] = ()
) -> None:
    """Writes `result`, with command, date and machine, as JSON to `path` and the `panels` beside it as PNG; says so.

    `x` and `levels` are those of `plots.draw`.
    """
    picture = path.with_suffix(".png")
    files.write_json(path, campaign.about() | result)
    plots.draw(panels, x, picture, levels)
    print(f"written to {path} and {picture}")


@contextlib.contextmanager
def growing(width: int) -> Iterator[Callable[[Table], None]]:
    """Gives a function that shows a table in place of the one before; in a pipe the last one is printed at the end."""
    with Live(console=Console(width=width), auto_refresh=False) as live:
        yield lambda table: live.update(table, refresh=True)
