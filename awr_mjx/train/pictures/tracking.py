"""How well runs imitate, in a report: numbers of their last evaluations, and curves over their training."""

from typing import Any

from awr_mjx.train.pictures import theme
from awr_mjx.train.pictures.figures import named, steps_of
from awr_mjx.train.pictures.runs import Groups, Run, every

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


def draw(groups: Groups) -> Any:
    """A panel for each measure against steps, a line for each run in its group's colour."""
    unit, label = steps_of(list(every(groups)))
    with theme.panels(len(MEASURES), 3, 2.4, label) as (drawn, axes):
        for axis, (name, (words, sampled)) in zip(axes, MEASURES.items(), strict=True):
            for number, runs in enumerate(groups.values()):
                look = theme.line_of(number)
                for run in runs:
                    if sampled:
                        steps, values = run.column(sampled)
                        axis.plot(steps / unit, values, linewidth=0.8, alpha=0.6, **look)
                    steps, values = run.column(name)
                    axis.plot(steps / unit, values, linewidth=2, marker="o", ms=4, **look)
            axis.set_title(words[0].upper() + words[1:], fontsize=10.5)
            axis.set_xlim(left=0)
            axis.set_ylim(bottom=0, top=1.02 if name in SHARES else None)
        if len(groups) > 1:
            theme.legend(drawn, [(named(key, groups[key]), theme.line_of(i)) for i, key in enumerate(groups)])
    return drawn
