"""What the live page says beside the picture: the present numbers, bars of the action, plots of reward and value."""

import html
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from awr_mjx.train.pictures.live import Shown

HISTORY = 300  # control steps in the plots
BLUE, GREY = "#228be6", "#adb5bd"
AXIS = {"labelGap": 2, "labelFont": "12px sans-serif", "font": "11px sans-serif", "gap": 3, "ticks": {"size": 4}}
DIGITS = "font-variant-numeric:tabular-nums"  # all as wide
ROW = "display:grid;grid-template-columns:minmax(0,9em) 1fr 3.2em;gap:0.5em;align-items:center;line-height:1.4"
NAME = "text-align:right;overflow:hidden;text-overflow:ellipsis;white-space:nowrap"
TRACK = "position:relative;height:0.75em;background:rgba(128,128,128,0.18);border-radius:2px"
TILE = "flex:1;padding:0.3em 0.5em;background:rgba(128,128,128,0.1);border-radius:4px;white-space:nowrap"


def tiles(numbers: dict[str, str]) -> str:
    """HTML with a tile for each of some numbers, by name."""
    found = (
        f'<div style="{TILE}"><div style="font-size:0.75em;opacity:0.7">{html.escape(name)}</div>'
        f'<div style="font-size:1.05em;font-weight:600;{DIGITS}">{html.escape(number)}</div></div>'
        for name, number in numbers.items()
    )
    return f'<div style="display:flex;gap:0.4em;padding:0.3em 0">{"".join(found)}</div>'


def bars(names: Sequence[str], shown: Shown) -> str:
    """HTML with a bar for each part of an action, from -1 to 1, or for the probability of each of discrete actions."""
    discrete, numbers = shown.chances is not None, shown.action if shown.chances is None else shown.chances
    rows = []
    for i, (name, number) in enumerate(zip(names, numbers, strict=True)):
        end = float(np.clip(number, -1.0, 1.0))
        left, width = (0.0, 100 * end) if discrete else (50 + 50 * min(end, 0.0), 50 * abs(end))
        chosen = not discrete or (i == int(shown.action[0]) and number > 0)
        fill = (
            f"position:absolute;left:{left:.1f}%;width:{width:.1f}%;height:100%;background:{BLUE if chosen else GREY}"
        )
        middle = (
            "" if discrete else '<div style="position:absolute;left:50%;width:1px;height:100%;background:gray"></div>'
        )
        words = f"{100 * number:.0f} %" if discrete else f"{number:+.2f}"
        weight = ";font-weight:600" if discrete and chosen else ""
        rows.append(
            f'<div style="{ROW}{weight}"><div style="{NAME}" title="{html.escape(name)}">{html.escape(name)}</div>'
            f'<div style="{TRACK}"><div style="{fill}"></div>{middle}</div>'
            f'<div style="text-align:right;{DIGITS}">{words}</div></div>'
        )
    return f'<div style="font-size:0.8em;padding:0 0.75em 0.5em">{"".join(rows)}</div>'


class Curve:
    """A plot over the time of an episode."""

    def __init__(self, gui: Any, name: str) -> None:
        """Adds it to a `viser` GUI, its axes labelled."""
        self._points: deque[tuple[float, float]] = deque(maxlen=HISTORY)
        self._plot = gui.add_uplot(
            (np.zeros(1), np.zeros(1)),
            ({"label": "time"}, {"label": name, "stroke": BLUE, "width": 1.5}),
            scales={"x": {"time": False}},
            axes=(
                {"label": "time (s)", "labelSize": 20, "size": 26, **AXIS},
                {"label": name, "labelSize": 20, "size": 52, "space": 24, **AXIS},
            ),
            legend={"show": False},
            padding=(10, 14, 4, 4),
            aspect=2.2,
        )

    def add(self, time: float, number: float) -> None:
        """Goes on with a number at a time (s)."""
        self._points.append((time, number))

    def clear(self) -> None:
        """Begins anew."""
        self._points.clear()

    def __len__(self) -> int:
        return len(self._points)

    def draw(self) -> None:
        """Has browsers show what there is."""
        if self._points:
            self._plot.data = tuple(np.array(self._points).T)
