"""What a training and its weighted regression did, in small panels, each with a line on what is healthy."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from awr_mjx.train.pictures import theme
from awr_mjx.train.pictures.figures import named, steps_of
from awr_mjx.train.pictures.runs import Groups, Run, every

Settings = dict[str, Any]  # of the algorithm
COLUMNS = 3
FEW = 20  # values, which are dots as well
FLAT = 1e-5  # relative differences that are no more than rounding
DECADE = 10.0  # from its least to its most, what is shown on a logarithmic axis spans this at least
PEAK = 3.0  # a panel that is as many times as high as most of its values shows these alone


def gaussian(awr: Settings) -> tuple[float, float] | None:
    """The effective sample share and the share of weights at their limit, were the advantages a Gaussian's.

    None where weights are not exp(A / beta) of standardised advantages, up to the limit, with a known beta.
    """
    wanted = {"advantage": "standardized", "weighting": "exponential"}
    if any(awr.get(name) != value for name, value in wanted.items()) or awr.get("target_ess"):
        return None
    a = np.linspace(-9, 9, 9001)
    density = np.exp(-a * a / 2) / np.exp(-a * a / 2).sum()
    weights = np.exp(np.minimum(a / awr["beta"], math.log(awr["weight_max"])))
    share = (density @ weights) ** 2 / (density @ weights**2)
    return float(share), math.erfc(awr["beta"] * math.log(awr["weight_max"]) / math.sqrt(2)) / 2


def _share(awr: Settings) -> float | None:
    return (gaussian(awr) or (None, None))[0]


def _clipped(awr: Settings) -> float | None:
    return (gaussian(awr) or (None, None))[1]


def _kl_words(every: list[Settings]) -> str:
    if all(awr.get("target_kl") for awr in every):
        return "How far an iteration moves the policy. About target_kl (dashed), which the step is set by."
    return "How far an iteration moves the policy. Without target_kl nothing holds it: the same step gives 1 / std^2."


def _std_words(every: list[Settings]) -> str:
    if all(awr.get("learn_std") for awr in every):
        return "Learned, in units of [-1, 1]. Above its floor std_min (dashed): without one it collapses."
    if not any(awr.get("learn_std") for awr in every):
        return "In units of [-1, 1]. From std to std_end (dashed) in std_steps, where it is scheduled."
    return "In units of [-1, 1]. Dashed: the floor of one that is learned, the end of one that is scheduled."


def _std_line(awr: Settings) -> float | None:
    return awr.get("std_min") if awr.get("learn_std") else awr.get("std_end") or None


def _spread_words(every: list[Settings]) -> str:
    if all(awr.get("advantage") == "standardized" for awr in every):
        return "In units of return. Weights are in units of it, so its size does not matter; at 0 nothing is preferred."
    return "In units of return. With a beta far below it the weights are a filter: none, or all that the limit allows."


def _value_words(every: list[Settings]) -> str:
    unit = "the returns' std" if every[0].get("value_units") == "returns" else "1 / (1 - gamma)"
    return f"Half the mean squared error, in units of {unit}. Falls at first; explained variance tells more."


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """A metric in a panel.

    Attributes:
      title: what it is.
      words: what is healthy, of the settings of the runs, or of any.
      line: what to compare it with, of a run's settings; dashed.
      low, high: what the axis shows at least.
      floor: what it shows at most, downwards.
      usual: a range that is shaded.
      log: whether the axis is logarithmic.
    """

    title: str
    words: str | Callable[[list[Settings]], str]
    line: Callable[[Settings], float | None] = lambda awr: None
    low: float | None = 0.0
    high: float | None = None
    floor: float = -math.inf
    usual: tuple[float, float] | None = None
    log: bool = False

    def said(self, runs: list[Run]) -> str:
        """What is healthy in these runs."""
        return self.words if isinstance(self.words, str) else self.words([run.settings.get("awr", {}) for run in runs])


DIAGNOSTICS = {
    "reward_per_step": Diagnostic(
        "Reward per step", "Of training's actions, noise and all. Should rise. The mode action does better."
    ),
    "episode_return": Diagnostic(
        "Return of training's episodes", "Of those that ended, noise and all: below the mode return. Should rise."
    ),
    "episode_steps": Diagnostic(
        "Length of training's episodes (steps)",
        "Nears the task's limit where a fall ends an episode and falls become rare.",
    ),
    "explained_variance": Diagnostic(
        "Critic: explained variance",
        "1: a perfect critic; 0: no better than a constant. Soon well above 0; may dip where the discount changes.",
        low=0.0, high=1.0, floor=-1.0,
    ),
    "effective_sample_share": Diagnostic(
        "Effective sample share",
        "1: all rows weigh the same; near 0: a few teach it all. Healthy: about 0.3 to 0.7 (shaded). Dashed: what "
        "Gaussian advantages give.",
        line=_share, high=1.0, usual=(0.3, 0.7),
    ),
    "weight_clipped": Diagnostic(
        "Share of weights at their limit",
        "Healthy: below about a third. At a half weights tell good from bad alone. Dashed: what Gaussian advantages "
        "give.",
        line=_clipped,
    ),
    "kl": Diagnostic("KL of an iteration (nats)", _kl_words, line=lambda awr: awr.get("target_kl") or None),
    "action_std": Diagnostic("Std of the actions", _std_words, line=_std_line),
    "beta": Diagnostic("Temperature beta", "Found in each iteration for target_ess, in units of the advantage."),
    "advantage_std": Diagnostic("Std of the advantages", _spread_words),
    "value_loss": Diagnostic("Loss of the critic", _value_words, log=True),
    "policy_loss": Diagnostic(
        "Loss of the policy",
        "Weighted -log pi and penalties. Its level says little: it moves with weights and std.",
        low=None,
    ),
    "held_out_log_likelihood": Diagnostic(
        "Held-out actions: log-likelihood",
        "On episodes that were not learned from. A fall while the loss still falls is overfitting.",
        low=None,
    ),
    "held_out_explained_variance": Diagnostic(
        "Held-out returns: explained variance",
        "On episodes that were not learned from; far below that of the training's is overfitting.",
        high=1.0, floor=-1.0,
    ),
}  # fmt: skip


def _constant(runs: list[Run], name: str) -> list[float]:
    """The values of a metric that changes in none of the runs, each once; empty if it does, or is not told."""
    found = [values for run in runs if (values := run.values(name)).size]
    if any(np.ptp(values) > FLAT * abs(values).max() for values in found):
        return []
    return sorted({float(f"{values[0]:.4g}") for values in found})


def told(groups: Groups) -> list[str]:
    """The metrics that have a panel: those that change."""
    runs = list(every(groups))
    return [name for name in DIAGNOSTICS if any(run.values(name).size for run in runs) and not _constant(runs, name)]


def words(groups: Groups) -> str:
    """What the panels of `groups` show, and the values of what did not change and so has none."""
    said = "What training and the weighted regression did; of long runs, means of neighbouring iterations."
    runs = list(every(groups))
    constant = {diagnostic.title: _constant(runs, name) for name, diagnostic in DIAGNOSTICS.items()}
    listed = [
        f"{title.lower()} {' or '.join(f'{v:g}' for v in values)}" for title, values in constant.items() if values
    ]
    return f"{said} Constant, so without a panel: {'; '.join(listed)}." if listed else said


def draw(groups: Groups) -> Any:
    """Panels of what is `told`, against steps, a line for each run in its group's colour. Something must be told."""
    runs, names = list(every(groups)), told(groups)
    unit, label = steps_of(runs)
    with theme.panels(len(names), COLUMNS, 2.5, label) as (drawn, axes):
        for axis, name in zip(axes, names, strict=True):
            _panel(axis, groups, name, unit)
        if len(groups) > 1:
            theme.legend(drawn, [(named(key, groups[key]), theme.line_of(i)) for i, key in enumerate(groups)])
    return drawn


def _panel(axis: Any, groups: Groups, name: str, unit: float) -> None:
    diagnostic, runs, seen = DIAGNOSTICS[name], list(every(groups)), []
    for number, members in enumerate(groups.values()):
        for run in members:
            steps, values = run.column(name)
            marker = "o" if values.size <= FEW else ""
            axis.plot(steps / unit, values, linewidth=1.1, marker=marker, ms=3, **theme.line_of(number))
            seen.append(values)
    lines = {line for run in runs if (line := diagnostic.line(run.settings.get("awr", {}))) is not None}
    for line in lines:
        axis.axhline(line, color=theme.MUTED, linewidth=1, linestyle=(0, (4, 3)))
    if diagnostic.usual:
        axis.axhspan(*diagnostic.usual, color=theme.LINES[2], alpha=0.1, linewidth=0)
    cut = _limits(axis, diagnostic, np.concatenate(seen), lines)
    axis.set_xlim(left=0)
    theme.heading(axis, diagnostic.title, f"{diagnostic.said(runs)}{cut}", 58)


def _limits(axis: Any, diagnostic: Diagnostic, values: np.ndarray, lines: set[float]) -> str:
    """Sets the limits of a panel; says what of the `values`, float64 [K], is beyond them."""
    if diagnostic.log and values.max() > DECADE * values.min() > 0:
        axis.set_yscale("log")
        return ""
    if diagnostic.low is None:
        return ""
    least = min(values.min(), diagnostic.low, *lines)
    most = max(values.max(), diagnostic.high or 0.0, *lines)
    cut = ""
    if least < diagnostic.floor:
        cut, least = f" Lowest: {least:.3g}.", diagnostic.floor
    usual = max(float(np.quantile(values, 0.98)), *lines, 0.0)
    if diagnostic.high is None and values.max() > PEAK * usual > 0:
        cut, most = f" Highest: {values.max():.3g}.", usual
    margin = 0.06 * (most - least or 1.0)
    axis.set_ylim(least - margin * (least < diagnostic.low), most + margin)
    return cut
