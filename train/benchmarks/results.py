"""What a benchmark of trainings leaves: numbers as JSON, curves as a figure."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from train.benchmarks import campaign, plots
from train.console import files
from train.console.errors import UserError


def refuse(out: pathlib.Path | None) -> None:
    """Makes sure, before hours of training, that `write` can write to `out` and beside it; None stands for a default.

    Raises:
      UserError: if it cannot.
    """
    if out is None:
        return
    if out.suffix.lower() == ".png":
        raise UserError(
            f"{out} is for the numbers: name a JSON file with --out; the figure gets its name and .png"
        )
    for path in (out, out.with_suffix(".png")):
        files.check_writable(path, "name another file with --out")


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
