"""Figures of learning curves."""

import contextlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from awr_mjx.train.benchmarks import campaign
from awr_mjx.train.benchmarks.campaign import Point
from awr_mjx.train.console.files import replacing
from awr_mjx.train.pictures import theme

Curves = dict[str, list[list[Point]]]  # label -> a curve per seed
UNITS = {"train_seconds": (60.0, "minutes of training"), "env_steps": (1e6, "million env steps")}


def draw(panels: dict[str, Curves], x: str, path: pathlib.Path, levels: Sequence[float] = ()) -> None:
    """Writes a PNG with a panel for each set of curves: every seed a thin line, their mean a thick one.

    `x` is a key of `UNITS`; `levels` are mode returns to mark with a line.
    """
    with panels_of(path, len(panels)) as axes:
        for axis, (name, curves) in zip(axes, panels.items(), strict=True):
            draw_curves(axis, curves, x)
            exact = any(campaign.FAST in point for seeds in curves.values() for points in seeds for point in points)
            axis.set_title(f"{name}: mode return{' in the exact physics' if exact else ''}")
            for level in levels:
                axis.axhline(level, color=theme.MUTED, linewidth=0.8, linestyle="--")
                place = axis.get_yaxis_transform()
                axis.text(1.01, level, f"{level:,.0f}", color=theme.MUTED, va="center", transform=place)
            axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))  # last: limits that are set no longer make room


@contextlib.contextmanager
def panels_of(path: pathlib.Path, panels: int = 1, share: bool = True) -> Iterator[Any]:
    """Gives the axes of `panels` panels, up to three side by side; what the block draws becomes the PNG `path`.

    They `share` one scale, or have one each.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    columns = panels if panels <= 3 else math.ceil(math.sqrt(panels))
    rows = math.ceil(panels / columns)
    with theme.looks():
        drawn, axes = plt.subplots(rows, columns, figsize=(6.4 * columns, 4.2 * rows), squeeze=False, sharey=share)
        for unused in axes.flat[panels:]:
            unused.set_axis_off()
        try:
            yield axes.flat[:panels]
            drawn.tight_layout()
            with replacing(path) as part:
                drawn.savefig(part, format="png", dpi=110)
        finally:
            plt.close(drawn)


def thousands(value: float, _: int) -> str:
    """A number at an axis, as matplotlib asks for it: '5,000', '0.25'."""
    return f"{value:,.10g}"


def draw_curves(axis: Any, curves: Curves, x: str) -> None:
    """Draws into one matplotlib axis what `draw` draws into each."""
    unit, scale = UNITS[x]
    for number, (name, seeds) in enumerate(curves.items()):
        color = theme.LINES[number % len(theme.LINES)]
        lines = [np.array([[p[x] / unit, p["mode_return"]] for p in points]).T for points in seeds if points]
        if not lines:
            continue
        label = f"{name}, mean of {len(lines)} seeds" if len(lines) > 1 else f"{name}, one seed"
        if len(lines) == 1:
            axis.plot(*lines[0], color=color, linewidth=2, marker=".", markersize=6, label=label)
            continue
        for places, values in lines:
            axis.plot(places, values, color=color, linewidth=0.7, alpha=0.5, marker=".", markersize=4)
        grid = np.linspace(0, min(places[-1] for places, _ in lines), 100)
        grid = grid[grid >= max(places[0] for places, _ in lines)]
        if len(grid):
            mean = np.mean([np.interp(grid, places, values) for places, values in lines], axis=0)
            axis.plot(grid, mean, color=color, linewidth=2, label=label)
        else:
            axis.plot([], [], color=color, label=name)
    axis.set_xlim(left=0.0)
    axis.yaxis.set_major_formatter(thousands)
    axis.set_xlabel(scale)
    axis.legend(fontsize=8)
