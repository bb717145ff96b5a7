"""A report's figures of one task: learning curves, and where the time went."""

import textwrap
from typing import Any

import numpy as np

from awr_mjx.train.engine.metrics_log import step_of
from awr_mjx.train.pictures import theme
from awr_mjx.train.pictures.runs import FAST, Groups, Run, clock, every

PHASES = ("compile", "train", "evaluate", "save")
TIME_WORDS = "Where the wall-clock time went; compiling is that of the last start."
DOTTED = {"color": theme.MUTED, "linestyle": ":"}


def curves(groups: Groups) -> Any:
    """Mode return against steps and against minutes of training: a mean and a band for each group.

    The two are one panel for a single run, where they would look the same. What the fast physics gives where the mode
    return is of the exact one is dotted. Where no run was evaluated twice, there are no curves but a row a group.
    """
    runs = list(every(groups))
    if once(groups):
        return _rows(groups)
    unit, label = steps_of(runs)
    places = [("step", unit, label)]
    timed = any("train_seconds" in point for run in runs for point in run.points("mode_return") + run.points(FAST))
    if timed and len(runs) > 1:
        places.append(("train_seconds", 60.0, "minutes of training"))
    with theme.figure(1, len(places), 4.2) as (drawn, axes):
        for axis, (key, scale, words) in zip(axes[0], places, strict=True):
            for number, members in enumerate(groups.values()):
                _group(axis, members, key, scale, theme.line_of(number))
            axis.set_xlabel(words)
            axis.set_xlim(left=0)
            axis.set_ylim(*with_zero(axis.dataLim.y0, axis.dataLim.y1))
            axis.yaxis.set_major_formatter("{x:,g}")
        axes[0, 0].set_title(f"Mode return: {runs[0].task}")
        if len(runs) == 1:
            _alone(axes[0, 0], runs[0], unit)
        entries = [(named(name, members), theme.line_of(i)) for i, (name, members) in enumerate(groups.items())]
        if any(run.newest(FAST) is not None for run in runs):
            entries = entries if len(groups) > 1 else [(named("exact physics", runs), entries[0][1])]
            entries.append(("fast physics", DOTTED))
        if len(entries) > 1:
            theme.legend(drawn, entries)
    return drawn


def curves_words(groups: Groups) -> str:
    """What the curves of `groups` show."""
    episodes = sorted({run.settings.get("eval_envs", 0) for run in every(groups)})
    words = [f"Mode return: the mean over {' or '.join(map(str, episodes))} whole episodes of the most likely action"]
    fast = all(run.settings.get("eval_physics") == "fast" for run in every(groups))
    words[0] += ", in the physics of training." if fast else "."
    alone, mark = [members for members in groups.values() if len(members) == 1], "bar" if once(groups) else "band"
    if any("mode_return_std" in run.evaluations()[-1] for members in alone for run in members if run.evaluations()):
        words.append(f"The {mark} of a single run is ± the standard deviation of its episodes.")
    if len(alone) < len(groups):
        mean = "each has a dot" if once(groups) else "the line is their mean"
        far = "" if once(groups) else ", as far as all of them have come"
        words.append(
            f"Where runs differ in their seed alone, {mean} and the {mark} goes from the lowest to the highest{far}."
        )
    if any(run.newest(FAST) is not None for run in every(groups)):
        mark = "Rings" if once(groups) else "Dotted"
        words.append(f"{mark}: in the fast physics, on which the policy was trained and which is an approximation.")
    return " ".join(words)


def once(groups: Groups) -> bool:
    """Whether no run was evaluated more than once, as those that learn from data may be."""
    return all(len(run.points(name)) <= 1 for run in every(groups) for name in ("mode_return", FAST))


def named(name: str, runs: list[Run]) -> str:
    """What a legend calls a group."""
    seeds = len({run.settings["seed"] for run in runs})
    return f"{name} ({len(runs)} {'seeds' if seeds == len(runs) else 'runs'})" if len(runs) > 1 else name


def steps_of(runs: list[Run]) -> tuple[float, str]:
    """In how many steps at once an axis counts, and what it is called."""
    most = max(step_of(run.rows[-1]) for run in runs)
    unit, word = next(
        pair for pair in ((1e6, "million "), (1e3, "thousand "), (1.0, "")) if most >= pair[0] or not pair[1]
    )
    return unit, word + clock(runs)


def with_zero(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis of returns from `low` to `high`: 0 is on it, and its end where all are on one side of it."""
    low, high = min(low, 0.0), max(high, 0.0)
    margin = 0.05 * (high - low or 1.0)
    return low - margin * (low < 0), high + margin * (high > 0 or low == 0)


def _alone(axis: Any, run: Run, unit: float) -> None:
    """What a panel of one run has besides: its last return in figures, and minutes of training along the top."""
    points = run.evaluations()
    if points:
        last = points[-1]
        place = (last["step"] / unit, last["mode_return"])
        axis.annotate(
            f"{last['mode_return']:,.0f}", place, (7, 0), textcoords="offset points", va="center", fontweight="bold"
        )
    pairs = np.array([(0, 0), *((p["step"] / unit, p["train_seconds"] / 60) for p in points if "train_seconds" in p)]).T
    if pairs.shape[1] < 3 or (np.diff(pairs) <= 0).any():
        return

    def along(x: Any, known: np.ndarray, wanted: np.ndarray) -> Any:
        """Between the evaluations by a straight line, and beyond them by that of the whole."""
        x = np.asarray(x, float)
        inside = np.interp(x, known, wanted)
        return np.where((x < 0) | (x > known[-1]), x * wanted[-1] / known[-1], inside)

    top = axis.secondary_xaxis("top", functions=(lambda x: along(x, *pairs), lambda x: along(x, *pairs[::-1])))
    top.set_xlabel("minutes of training")
    top.spines["top"].set_visible(False)


def _group(axis: Any, runs: list[Run], key: str, unit: float, look: dict[str, Any]) -> None:
    """The mode returns of runs that differ in their seed alone."""
    for run in runs:
        fast = [[point[key] / unit, point[FAST]] for point in run.points(FAST) if key in point]
        axis.plot(*np.array(fast or np.empty((0, 2))).T, color=look["color"], linewidth=1.2, linestyle=":")
    found = [[point for point in run.evaluations() if key in point] for run in runs]
    lines = [np.array([[point[key] / unit, point["mode_return"]] for point in points]).T for points in found if points]
    if len(lines) == 1:
        _single(axis, lines[0], next(points for points in found if points), look)
    elif lines:
        _seeds(axis, lines, look)


def _single(axis: Any, line: np.ndarray, points: list[dict[str, float]], look: dict[str, Any]) -> None:
    places, values = line
    axis.plot(places, values, linewidth=2.2, marker="o", ms=4, **look)
    if all("mode_return_std" in point for point in points):
        std = np.array([point["mode_return_std"] for point in points])
        if len(points) == 1:
            axis.errorbar(places, values, std, color=look["color"], linewidth=1.2, capsize=4)
        axis.fill_between(places, values - std, values + std, color=look["color"], alpha=0.15, linewidth=0)


def _seeds(axis: Any, lines: list[np.ndarray], look: dict[str, Any]) -> None:
    first, last = max(places[0] for places, _ in lines), min(places[-1] for places, _ in lines)
    together = first < last
    for places, values in lines:
        axis.plot(
            places, values, linewidth=0.8 if together else 2, alpha=0.45 if together else 1, marker=".", ms=4, **look
        )
    if together:
        grid = np.linspace(first, last, 200)
        values = np.stack([np.interp(grid, *line) for line in lines])
        axis.fill_between(grid, values.min(axis=0), values.max(axis=0), color=look["color"], alpha=0.15, linewidth=0)
        axis.plot(grid, values.mean(axis=0), linewidth=2.4, **look)


def _rows(groups: Groups) -> Any:
    """The one mode return of every run, a row for each group."""
    with theme.figure(1, 1, 1.4 + 0.4 * len(groups)) as (drawn, axes):
        axis = axes[0, 0]
        for place, runs in enumerate(groups.values()):
            color, points = theme.LINES[place % len(theme.LINES)], [p for run in runs for p in run.evaluations()]
            values = np.array([point["mode_return"] for point in points])
            if len(points) == 1:
                axis.errorbar(values, [place], xerr=points[0].get("mode_return_std"), color=color, capsize=4)
            elif len(points) > 1:
                axis.plot([values.min(), values.max()], [place, place], color=color)
            axis.plot(values, [place] * len(points), color=color, marker="o", ms=7, linestyle="")
            fast = [value for run in runs if (value := run.newest(FAST)) is not None]
            axis.plot(fast, [place] * len(fast), color=color, marker="o", ms=7, mfc="none", linestyle="")
        names = [textwrap.fill(named(name, runs), 44) for name, runs in groups.items()]
        axis.set_yticks(range(len(groups)), names)
        axis.set_ylim(len(groups) - 0.4, -0.6)
        axis.set_xlim(*with_zero(axis.dataLim.x0, axis.dataLim.x1))
        axis.xaxis.set_major_formatter("{x:,g}")
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("mode return")
        axis.set_title(f"Mode return: {next(every(groups)).task}")
    return drawn


def time_split(groups: Groups) -> Any:
    """Minutes of compiling, training, evaluating and saving, a bar for each run."""
    runs = list(every(groups))
    with theme.figure(1, 1, 1.3 + 0.32 * len(runs)) as (drawn, axes):
        axis, left = axes[0, 0], np.zeros(len(runs))
        for number, phase in enumerate(PHASES):
            minutes = np.array([run.newest(f"{phase}_seconds") or 0.0 for run in runs]) / 60
            axis.barh(range(len(runs)), minutes, left=left, height=0.6, color=theme.LINES[number])
            left += minutes
        for place, end in enumerate(left):
            axis.annotate(f"{end:,.1f}", (end, place), (5, 0), textcoords="offset points", va="center")
        axis.set_yticks(range(len(runs)), [run.name for run in runs])
        axis.margins(x=0.06)
        axis.set_xlim(left=0)
        axis.grid(visible=False, axis="y")
        axis.invert_yaxis()
        axis.set_xlabel("minutes")
        square = {"linestyle": "", "marker": "s", "ms": 8}
        theme.legend(drawn, [(phase, {"color": theme.LINES[i], **square}) for i, phase in enumerate(PHASES)])
    return drawn
