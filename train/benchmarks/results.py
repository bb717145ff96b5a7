"""What a benchmark of trainings leaves: numbers as JSON, curves as a figure."""

import pathlib
from collections.abc import Sequence
from typing import Any

from train.benchmarks import campaign, plots
from train.console import files


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
