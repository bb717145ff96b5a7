"""Our runs of a `paper/` task beside the authors' curve: `python -m docs.studies.author_curve CSV RUN [RUN ...]`.

CSV holds the authors' curves, taken out of the logs that they published with their code: columns task, metric,
samples_M (million env steps) and values (the mode return of each of their runs). Prints ours beside the range of theirs
and draws both.
"""

import csv
import dataclasses
import pathlib
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from awr_mjx.train.benchmarks import campaign, plots
from awr_mjx.train.console import cli
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.engine import config as settings

NAMES = {"halfcheetah": "half_cheetah"}  # of tasks that the authors spell differently


@dataclasses.dataclass(frozen=True)
class StudyConfig:
    """What to compare."""

    curves: Annotated[pathlib.Path, tyro.conf.Positional]
    """CSV file of the authors' curves."""
    runs: Annotated[tuple[pathlib.Path, ...], tyro.conf.Positional]
    """Run folders of ours, all of one `paper/` task."""
    out: pathlib.Path = pathlib.Path("author_curve.png")
    """PNG file to write."""


def authors(path: pathlib.Path, task: str) -> dict[float, list[float]]:
    """Mode returns of the authors' runs by env steps.

    Raises:
      UserError: if the file cannot be read or has no such curve.
    """
    try:
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if (row["task"], row["metric"]) == (task, "Test_Return")]
        found = {1e6 * float(row["samples_M"]): [float(x) for x in row["values"].split()] for row in rows}
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} is not a file of the authors' curves: {error}") from error
    if not found:
        raise UserError(f"{path} has no curve of {task}")
    return found


def main() -> int:
    """Prints the table and draws the figure."""
    config = cli.parse(
        StudyConfig, cli.arguments(), prog="python -m docs.studies.author_curve", description=__doc__ or ""
    )
    names = {settings.read(run).env for run in config.runs}
    if len(names) != 1 or not all(name.startswith("paper/") for name in names):
        raise UserError(f"the runs must be of one paper/ task, not of {', '.join(sorted(names)) or 'none'}")
    task = names.pop().removeprefix("paper/")
    theirs = authors(config.curves, NAMES.get(task, task))
    ours = {
        run.name: np.array([[p["env_steps"], p["mode_return"]] for p in campaign.curve(run)]).T for run in config.runs
    }
    if any(curve.size == 0 for curve in ours.values()):
        raise UserError("a run has no evaluation yet")
    end = min(curve[0, -1] for curve in ours.values())
    table = Table("env steps", "authors: mean", "least", "most", *ours, title=f"paper/{task}: mode return")
    for steps, values in theirs.items():
        if steps <= end:
            cells = (f"{np.interp(steps, *curve):.0f}" for curve in ours.values())
            table.add_row(f"{steps:,.0f}", *(f"{f(values):.0f}" for f in (np.mean, np.min, np.max)), *cells)
    Console(width=110).print(table)
    _draw(config.out, task, theirs, ours, end)
    print(f"written to {config.out}")
    return 0


def _draw(
    path: pathlib.Path, task: str, theirs: dict[float, list[float]], ours: dict[str, np.ndarray], end: float
) -> None:
    steps = np.array(list(theirs)) / 1e6
    least, mean, most = (np.array([f(values) for values in theirs.values()]) for f in (np.min, np.mean, np.max))
    with plots.panels_of(path) as (axis,):
        axis.fill_between(steps, least, most, color="0.85", label="authors: least to most of their runs")
        axis.plot(steps, mean, color="0.4", linewidth=2, label="authors: mean")
        for name, curve in ours.items():
            axis.plot(curve[0] / 1e6, curve[1], linewidth=1.2, label=f"ours: {name}")
        axis.set(xlim=(0, 1.05 * end / 1e6), xlabel="million env steps", ylabel="mode return", title=f"paper/{task}")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)


if __name__ == "__main__":
    run_program(main)
