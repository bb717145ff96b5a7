"""How figures look: one palette for light and dark, no frames, a thin grid; as PNGs, and inside of a page.

Colours can be told apart by the colour-blind: they are Okabe and Ito's (2008), and a brown and a grey.
"""

import contextlib
import io
import pathlib
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from awr_mjx.train.console.files import replacing

# By name: on white, and on a dark page. A figure is drawn in the former; in a page they are variables of its style.
COLOURS = {
    "paper": ("#ffffff", "#14171a"),
    "ink": ("#1d2227", "#e8eaed"),
    "muted": ("#5d6771", "#9ca6b0"),
    "grid": ("#e3e7eb", "#2c3238"),
    "c0": ("#0072b2", "#4fabf0"),
    "c1": ("#d55e00", "#ff8b4a"),
    "c2": ("#009e73", "#2fc79a"),
    "c3": ("#cc79a7", "#eba6cc"),
    "c4": ("#e69f00", "#f4be52"),
    "c5": ("#56b4e9", "#a5dcff"),
    "c6": ("#8c5a2b", "#cfa177"),
    "c7": ("#7a7f85", "#b4bac0"),
}
PAPER, INK, MUTED, GRID, *LINES = (light for light, _ in COLOURS.values())
DASHES = ("-", "--", "-.")  # once all colours are taken; dotted is the fast physics
WIDTH = 12.0  # inches
LETTER, LINE = 0.083, 0.19  # inches of a letter, and of a line, of a legend
LOOKS = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.spines.left": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "svg.fonttype": "none",
}


@contextlib.contextmanager
def looks() -> Iterator[None]:
    """What is drawn and saved in here looks as it should."""
    import matplotlib as mpl

    with mpl.rc_context(LOOKS):
        yield


@contextlib.contextmanager
def figure(rows: int, columns: int, height: float) -> Iterator[tuple[Any, np.ndarray]]:
    """Gives a figure and its axes [rows, columns], to be drawn in the block. A row has `height` inches."""
    from matplotlib.figure import Figure

    with looks():
        drawn = Figure(figsize=(WIDTH, height * rows), layout="constrained")
        yield drawn, drawn.subplots(rows, columns, squeeze=False)


@contextlib.contextmanager
def panels(count: int, columns: int, height: float, label: str) -> Iterator[tuple[Any, list[Any]]]:
    """Gives a figure and `count` axes in rows of `columns`; the lowest of each column has the `label` of the x axis."""
    with figure(-(-count // columns), columns, height) as (drawn, axes):
        flat = list(axes.flat)
        drawn.get_layout_engine().set(h_pad=0.12, w_pad=0.1)
        for unused in flat[count:]:
            unused.remove()
        for axis in flat[max(count - columns, 0) : count]:
            axis.set_xlabel(label)
        yield drawn, flat[:count]


def line_of(number: int) -> dict[str, Any]:
    """Colour and dashes of group `number`, as matplotlib's `plot` takes them."""
    return {
        "color": LINES[number % len(LINES)],
        "linestyle": DASHES[number // len(LINES) % len(DASHES)],
    }


def heading(axis: Any, title: str, words: str, letters: int) -> None:
    """A small panel's title and, below it, up to three lines of `letters` each of what to make of it."""
    kind = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "annotation_clip": False}
    axis.annotate(title, (0, 1), (0, 56), fontsize=10.5, fontweight="bold", color=INK, **kind)
    axis.annotate(textwrap.fill(words, letters), (0, 1), (0, 41), fontsize=8, color=MUTED, linespacing=1.3, **kind)


def legend(drawn: Any, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Names what `entries` are, a name and `plot`'s words for each, above the panels and whole, however long."""
    from matplotlib.lines import Line2D

    most = int(WIDTH / LETTER) - 8
    names = [textwrap.fill(name, most) for name, _ in entries]
    longest = max(len(line) for name in names for line in name.splitlines())
    columns = min(max(int(WIDTH / (LETTER * (longest + 6))), 1), len(names))
    lines = max(name.count("\n") + 1 for name in names) * -(-len(names) // columns)
    drawn.set_figheight(drawn.get_figheight() + LINE * lines)  # so that the panels keep theirs
    drawn.legend(
        [Line2D([], [], linewidth=2, **look) for _, look in entries],
        names,
        loc="outside upper left",
        ncols=columns,
        alignment="left",
        borderaxespad=0.4,
        handlelength=1.8,
    )


def save(drawn: Any, path: pathlib.Path) -> None:
    """Writes a figure as the PNG `path`.

    Raises:
      UserError: if it cannot be written.
    """
    with replacing(path) as part, looks():
        drawn.savefig(part, format="png", dpi=130, facecolor=PAPER)


def inline(drawn: Any, words: str) -> str:
    """A figure as an SVG inside of a page, which knows `variables`; `words` are for those who do not see it."""
    text = io.StringIO()
    with looks():
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        drawn.savefig(text, format="svg", transparent=True, metadata=nothing)
    names = {light: f"var(--{name})" for name, (light, _) in COLOURS.items()}
    svg = text.getvalue()
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda found: names.get(found[0], found[0]), svg[svg.index("<svg") :])
    return svg.replace("<svg", f'<svg role="img" aria-label="{words}"', 1)


def variables(dark: bool) -> str:
    """The palette as variables of a page's style."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in COLOURS.items())
