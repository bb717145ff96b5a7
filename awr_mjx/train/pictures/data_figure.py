"""Logged data as a picture."""

from typing import Any

import numpy as np

from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.pictures import theme

BINS = 50
LARGEST_PANEL = 12  # dimensions of actions that are shown one by one


def histograms(found: DataSet) -> Any:
    """Returns, lengths, rewards and actions of a set, one figure."""
    with theme.figure(2, 2, 3.0) as (drawn, axes):
        _histogram(axes[0, 0], found.returns(), "return of an episode", "episodes")
        _histogram(axes[0, 1], found.steps, "steps of an episode", "episodes")
        _histogram(axes[1, 0], found.rewards, "reward of a step", "steps")
        axis = axes[1, 1]
        if found.discrete:
            counts = np.bincount(found.actions, minlength=found.action_size)
            axis.bar(np.arange(found.action_size), counts, color=theme.LINES[0])
            axis.set_xlabel("action")
            axis.xaxis.get_major_locator().set_params(integer=True)
        else:
            low, high = found.actions.min(), found.actions.max()
            for i in range(min(found.action_size, LARGEST_PANEL)):
                counts, edges = np.histogram(found.actions[:, i], BINS, (low, high))
                axis.stairs(counts, edges, label=str(i), **theme.line_of(i))
            axis.set_xlabel("action, a line a dimension")
            axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        axis.set_ylabel("steps")
    return drawn


def _histogram(axis: Any, values: np.ndarray, label: str, count: str) -> None:
    axis.hist(values, BINS, color=theme.LINES[0])
    if count == "episodes":
        axis.axvline(values.mean(), color=theme.LINES[1])
        axis.set_title(f"mean {values.mean():,.1f}", fontsize=9.5, color=theme.LINES[1])
    else:
        axis.set_yscale("log")
        axis.set_ylim(bottom=0.5)  # where all rewards are one, too
    axis.set_xlabel(label)
    axis.set_ylabel(count)
