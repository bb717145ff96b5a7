"""The figures of a report, as PNGs."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from awr_mjx.train.console.files import replacing
from awr_mjx.train.engine.metrics_log import step_of

Groups = dict[str, list["Run"]]
FAST = "mode_return_fast"  # in the fast physics, where the mode return is of the exact one
POINTS = 300  # of a diagnostic curve; more are averaged
PHASES = ("compile", "train", "evaluate", "save")
DIAGNOSTICS = {
    "reward_per_step": "reward per step",
    "episode_return": "return of sampled episodes",
    "episode_steps": "length of sampled episodes",
    "explained_variance": "critic: explained variance",
    "effective_sample_share": "share of effective samples",
    "weight_clipped": "share of weights at their limit",
    "beta": "temperature beta",
    "advantage_std": "std of the advantages",
    "kl": "KL of an iteration (nats)",
    "action_std": "std of the actions",
    "value_loss": "loss of the critic",
    "policy_loss": "loss of the policy",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run has logged: a `name` of its own, its settings, and the `rows` of its metrics, oldest first."""

    name: str
    settings: dict[str, Any]
    rows: list[dict[str, float]]

    @property
    def clock(self) -> str:
        """What its steps are called."""
        return "gradient steps" if self.settings.get("logged", {}).get("data") else "env steps"

    def evaluations(self) -> list[dict[str, float]]:
        """The rows that have a mode return, with their `step`."""
        return [{**row, "step": step_of(row)} for row in self.rows if "mode_return" in row]

    def newest(self, name: str) -> float | None:
        """The newest value of a metric."""
        return next((row[name] for row in reversed(self.rows) if name in row), None)

    def column(self, name: str) -> np.ndarray:
        """Steps and a metric, float64 [2, K], at most `POINTS` of them, each the mean of those it stands for."""
        values = np.array([[step_of(row), row[name]] for row in self.rows if row.get(name) is not None]).T
        if values.size == 0:
            return np.empty((2, 0))
        parts = np.array_split(values, min(POINTS, values.shape[1]), axis=1)
        return np.stack([part.mean(axis=1) for part in parts], axis=1)


def by_physics(runs: list[Run]) -> list[Run]:
    """The runs, with the mode returns of those that were evaluated in the fast physics called `mode_return_fast`.

    That is done where others of the task tell both: the two are not to be compared.
    """
    both = {run.settings["env"] for run in runs if run.newest(FAST) is not None}

    def told(run: Run) -> Run:
        if run.settings["env"] not in both or run.settings.get("eval_physics") != "fast":
            return run
        rows = [{FAST if name == "mode_return" else name: value for name, value in row.items()} for row in run.rows]
        return dataclasses.replace(run, rows=rows)

    return [told(run) for run in runs]


@contextlib.contextmanager
def figure(path: pathlib.Path, rows: int, columns: int, height: float) -> Iterator[Any]:
    """Gives axes [rows, columns]; what the block draws becomes the PNG `path`. A row has `height` inches."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    drawn, axes = plt.subplots(rows, columns, figsize=(12, height * rows), squeeze=False)
    try:
        yield axes
        drawn.tight_layout()
        with replacing(path) as part:
            drawn.savefig(part, format="png", dpi=110)
    finally:
        plt.close(drawn)


def curves(groups: Groups, path: pathlib.Path) -> None:
    """Mode return against steps and against minutes of training, a row a task: a mean and a band for each group.

    What the fast physics gives where the mode return is of the exact one is dotted.
    """
    tasks = list(dict.fromkeys(str(runs[0].settings["env"]) for runs in groups.values()))
    with figure(path, len(tasks), 2, 4.4) as axes:
        for row, task in zip(axes, tasks, strict=True):
            for axis, key, unit, label in (
                (row[0], "step", 1e6, f"million {clock(every(groups))}"),
                (row[1], "train_seconds", 60.0, "minutes of training"),
            ):
                axis.set_title(task)
                for number, (name, runs) in enumerate(groups.items()):
                    if runs[0].settings["env"] == task:
                        _band(axis, runs, key, unit, f"C{number}", name)
                axis.set_xlabel(label)
                axis.set_ylabel("mode return")
                axis.grid(alpha=0.3)
                if axis.get_legend_handles_labels()[0]:
                    axis.legend(fontsize=8)
                else:
                    axis.text(0.5, 0.5, "no evaluation yet", ha="center", transform=axis.transAxes)


def clock(runs: Iterable[Run]) -> str:
    """What the steps of all the runs are called."""
    names = {run.clock for run in runs}
    return names.pop() if len(names) == 1 else "steps"


def every(groups: Groups) -> Iterator[Run]:
    """All runs of all groups."""
    return (run for runs in groups.values() for run in runs)


def _band(axis: Any, runs: list[Run], key: str, unit: float, color: str, name: str) -> None:
    lines = [
        np.array([[point[key] / unit, point["mode_return"]] for point in points]).T
        for points in ([point for point in run.evaluations() if key in point] for run in runs)
        if points
    ]
    for run in runs:
        rows = [{**row, "step": step_of(row)} for row in run.rows if FAST in row]
        fast = [[row[key] / unit, row[FAST]] for row in rows if key in row]
        axis.plot(*np.array(fast or np.empty((0, 2))).T, color=color, linewidth=0.8, alpha=0.6, linestyle=":")
    if not lines:
        return
    label = f"{name} ({len(lines)} seeds)" if len(lines) > 1 else name
    for places, values in lines:
        axis.plot(places, values, color=color, linewidth=0.7 if len(lines) > 1 else 1.8, alpha=0.6, marker=".", ms=3)
    first, last = max(places[0] for places, _ in lines), min(places[-1] for places, _ in lines)
    if len(lines) == 1 or first >= last:
        axis.plot([], [], color=color, label=label)
        return
    grid = np.linspace(first, last, 200)
    values = np.stack([np.interp(grid, *line) for line in lines])
    axis.fill_between(grid, values.min(axis=0), values.max(axis=0), color=color, alpha=0.15, linewidth=0)
    axis.plot(grid, values.mean(axis=0), color=color, linewidth=2, label=label)


def time_split(groups: Groups, path: pathlib.Path) -> None:
    """Minutes of compiling, training, evaluating and saving, a bar for each run."""
    runs = list(every(groups))
    with figure(path, 1, 1, 1.2 + 0.35 * len(runs)) as axes:
        axis, left = axes[0, 0], np.zeros(len(runs))
        for phase in PHASES:
            minutes = np.array([run.newest(f"{phase}_seconds") or 0.0 for run in runs]) / 60
            axis.barh([run.name for run in runs], minutes, left=left, label=phase)
            left += minutes
        axis.invert_yaxis()
        axis.set_xlabel("minutes")
        axis.legend(fontsize=8, ncols=len(PHASES))


def diagnostics(groups: Groups, path: pathlib.Path) -> None:
    """Small panels of `DIAGNOSTICS` against steps, a line for each run in its group's colour."""
    columns = 4
    with figure(path, -(-len(DIAGNOSTICS) // columns), columns, 2.4) as axes:
        for axis, (name, words) in zip(axes.flat, DIAGNOSTICS.items(), strict=True):
            for number, (group, runs) in enumerate(groups.items()):
                for i, run in enumerate(runs):
                    steps, values = run.column(name)
                    label = group if i == 0 and len(groups) > 1 else None
                    axis.plot(steps / 1e6, values, color=f"C{number}", linewidth=0.9, label=label)
            axis.set_title(words, fontsize=9)
            axis.tick_params(labelsize=7)
            axis.grid(alpha=0.3)
        if len(groups) > 1:
            axes[0, 0].legend(fontsize=6)
        for axis in axes[-1]:
            axis.set_xlabel(f"million {clock(every(groups))}", fontsize=8)
