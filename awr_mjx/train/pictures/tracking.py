"""How well runs imitate, in a report: numbers of their last evaluations, and curves over their training."""

import pathlib
from typing import Any

from awr_mjx.train.pictures.figures import Groups, Run, clock, every, figure

# What is logged of the mode action, what it is called, and, if it is, what the actions of training are logged as.
MEASURES = {
    "mode_return_share": ("return, of the most possible", None),
    "mode_whole": ("whole episodes, of all", None),
    "mode_terms/joint_error": ("joint error (rad)", "terms/joint_error"),
    "mode_terms/mpkpe": ("mpkpe (m)", "terms/mpkpe"),
    "mode_terms/r_mpkpe": ("root-relative mpkpe (m)", "terms/r_mpkpe"),
}
SHARES = ("mode_return_share", "mode_whole")
WORDS = (
    "How near to the clips: joint error is the root mean square over the joints, mpkpe the mean distance of the bodies "
    "from where the clip has them. Dots are evaluations of the mode action, thin lines the sampled actions of training."
)


def imitating(runs: list[Run]) -> list[Run]:
    """Those of the runs that have logged how near to a clip they are."""
    return [run for run in runs if run.newest("terms/joint_error") is not None]


def rows(runs: list[Run]) -> tuple[list[str], list[list[Any]]]:
    """The head of a table, and a row for each run: its last evaluation, with - for what it has not logged."""
    head = ["run", *(words for words, _ in MEASURES.values())]
    found = []
    for run in runs:
        last = (run.evaluations() or [{}])[-1]
        found.append([run.name, *(_shown(name, last.get(name)) for name in MEASURES)])
    return head, found


def _shown(name: str, value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}" if name in SHARES else f"{value:.3f}"


def draw(groups: Groups, path: pathlib.Path) -> None:
    """A panel for each measure against steps, a line for each run in its group's colour, as the PNG `path`."""
    with figure(path, 1, len(MEASURES), 2.8) as axes:
        for axis, (name, (words, sampled)) in zip(axes[0], MEASURES.items(), strict=True):
            for number, (group, runs) in enumerate(groups.items()):
                for i, run in enumerate(runs):
                    colour, label = f"C{number}", group if i == 0 and len(groups) > 1 else None
                    if sampled:
                        steps, values = run.column(sampled)
                        axis.plot(steps / 1e6, values, color=colour, linewidth=0.7, alpha=0.6)
                    steps, values = run.column(name)
                    axis.plot(steps / 1e6, values, color=colour, linewidth=1.5, marker=".", ms=4, label=label)
            axis.set_title(words, fontsize=9)
            axis.set_xlabel(f"million {clock(every(groups))}", fontsize=8)
            axis.set_ylim(bottom=0, top=1.02 if name in SHARES else None)
            axis.tick_params(labelsize=7)
            axis.grid(alpha=0.3)
        if len(groups) > 1:
            axes[0, 0].legend(fontsize=6)
