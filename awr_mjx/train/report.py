"""One HTML file that tells what runs did: `python -m train.report RUN [RUN ...]`.

Learning curves (runs that differ in their seed alone are one band), where the time went, diagnostics of the weighted
regression, how the settings differ, a video of the best run, and what logged data are like that were learned from. The
file needs nothing but a browser; the figures lie beside it as PNGs too.
"""

import base64
import collections
import dataclasses
import html
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import tyro

from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program, warn
from awr_mjx.train.console.files import check_writable, replacing
from awr_mjx.train.datasets.data_set import joined
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import metrics_log
from awr_mjx.train.engine.task_files import STAYED, Moved, MovedOption
from awr_mjx.train.pictures import data_figure, figures, film, painters, tracking
from awr_mjx.train.pictures.figures import Run

SHOWN = 3  # settings in the name of a group of runs
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #ddd; padding: 0.25rem 0.8rem 0.25rem 0; text-align: left; white-space: nowrap; }
img, video { max-width: 100%; }
figure { margin: 1rem 0 2rem; } figcaption { color: #555; }
"""


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """What to report on."""

    runs: Annotated[tuple[pathlib.Path, ...], tyro.conf.Positional]
    """Run folders; each task has curves of its own. What is no run is left out."""
    out: pathlib.Path | None = None
    """HTML file to write, its figures beside it; report.html in the first run's folder if not given."""
    video: bool = True
    """Show the run with the highest mode return in a video."""
    seconds: float = 10.0
    """Length of the video."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task in the video are now that have been moved."""


def read(folder: pathlib.Path) -> Run:
    """What run `folder` has logged; a line that is just being written does not count.

    Raises:
      UserError: if it is not a run, or has logged nothing yet.
    """
    config = settings.read(folder)
    try:
        rows = list(metrics_log.lines(folder))
    except OSError as error:
        raise UserError(f"{folder} has no metrics: {error.strerror}") from error
    if not rows:
        raise UserError(f"{folder} has no metrics yet: train for longer")
    return Run(folder.resolve().name, settings.to_dict(config), rows)


def read_all(folders: tuple[pathlib.Path, ...]) -> tuple[tuple[pathlib.Path, ...], list[Run]]:
    """The runs among `folders`, each once, and what they have logged; what is none is left out with a warning.

    A run is called as its folder, with as many of the folders above as tell it from the others.

    Raises:
      UserError: if none of them is a run that has logged something.
    """
    found, problems, seen = dict[pathlib.Path, Run](), list[UserError](), set[str]()
    for folder in folders:
        place = os.path.realpath(folder)
        if place in seen:
            continue
        seen.add(place)
        try:
            found[folder] = read(folder)
        except UserError as error:
            problems.append(error)
    if not found:
        raise problems[0]
    warn([f"{problem}: left out" for problem in problems])
    runs = zip(found.values(), _names(list(found)), strict=True)
    return tuple(found), figures.by_physics([dataclasses.replace(run, name=name) for run, name in runs])


def _names(folders: list[pathlib.Path]) -> list[str]:
    """The shortest end of each folder's path that no other one has."""
    paths = [folder.resolve().parts for folder in folders]

    def ends(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        return (path[-depth:] for depth in range(1, len(path) + 1))

    taken = collections.Counter(end for path in paths for end in ends(path))
    return [str(pathlib.Path(*next(end for end in ends(path) if taken[end] == 1 or end == path))) for path in paths]


def group(runs: list[Run]) -> dict[str, list[Run]]:
    """Runs that differ in their seed alone, by a name made of the settings in which the groups of a task differ.

    Where these are many, it is the first run's name.
    """
    groups: dict[str, list[Run]] = {}
    tasks = list(dict.fromkeys(str(run.settings["env"]) for run in runs))
    for task in tasks:
        same = [run for run in runs if run.settings["env"] == task]
        flat = [settings.flatten({**run.settings, "seed": None}) for run in same]
        differ = [key for key in flat[0] if any(other.get(key) != flat[0][key] for other in flat)]
        alike: dict[str, list[Run]] = {}
        for run, values in zip(same, flat, strict=True):
            alike.setdefault(json.dumps(values, sort_keys=True), []).append(run)
        for members in alike.values():
            values = settings.flatten(members[0].settings)
            shown = ", ".join(f"{key.rpartition('.')[2]} {values.get(key)}" for key in differ)
            label = members[0].name if len(differ) > SHOWN else shown or task
            label = label if len(tasks) == 1 or label == task else f"{task}, {label}"
            groups[f"{label} ({members[0].name})" if label in groups else label] = members
    return groups


def table(head: list[str], rows: list[list[Any]]) -> str:
    """An HTML table; numbers of more than three digits get separators."""

    def cell(value: Any, tag: str = "td") -> str:
        is_count = isinstance(value, int) and not isinstance(value, bool)
        return f"<{tag}>{html.escape(f'{value:,}' if is_count else str(value))}</{tag}>"

    lines = ["<tr>" + "".join(cell(name, "th") for name in head) + "</tr>"]
    lines += ["<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows]
    return "<table>" + "\n".join(lines) + "</table>"


def summary(runs: list[Run]) -> str:
    """A table of what each run reached."""
    clock = figures.clock(runs)
    head = ["run", "task", "seed", clock, "best mode return", "last mode return", "fast physics"]
    head += ["minutes", f"{clock}/s"]
    rows = []
    for run in runs:
        evaluations, seconds = run.evaluations(), run.newest("train_seconds")
        steps = int(metrics_log.step_of(run.rows[-1]))
        returns = [f"{point['mode_return']:,.1f}" for point in evaluations] or ["-"]
        best = f"{max(point['mode_return'] for point in evaluations):,.1f}" if evaluations else "-"
        newest = run.newest(figures.FAST)
        fast = "-" if newest is None else f"{newest:,.1f}"
        row = [run.name, run.settings["env"], run.settings["seed"], steps, best, returns[-1], fast]
        spent = [f"{seconds / 60:.1f}", f"{steps / max(seconds, 1e-9):,.0f}"] if seconds is not None else ["-", "-"]
        rows.append([*row, *spent])
    return table(head, rows)


def differences(runs: list[Run]) -> str:
    """A table of the settings in which runs differ, and all settings of the first run behind a fold."""
    flat = [settings.flatten(run.settings) for run in runs]
    differ = [name for name in flat[0] if any(other.get(name) != flat[0][name] for other in flat)]
    parts = []
    if differ:
        rows = [[name, *(str(values.get(name)) for values in flat)] for name in differ]
        parts.append(table(["setting", *(run.name for run in runs)], rows))
    elif len(runs) > 1:
        parts.append("<p>All runs have the same settings.</p>")
    whole = table(["setting", "value"], [[name, str(value)] for name, value in flat[0].items()])
    parts.append(f"<details><summary>All settings of {html.escape(runs[0].name)}</summary>{whole}</details>")
    return "\n".join(parts)


def best_run(runs: list[Run], folders: tuple[pathlib.Path, ...]) -> pathlib.Path:
    """The folder of the run with the highest mode return, of the first run's task."""
    same = [i for i, run in enumerate(runs) if run.settings["env"] == runs[0].settings["env"]]
    returns = [max((point["mode_return"] for point in runs[i].evaluations()), default=-np.inf) for i in same]
    return folders[same[int(np.argmax(returns))]]


def movie_of(run: pathlib.Path, name: str, seconds: float, moved: Moved = STAYED) -> str:
    """An HTML video of the newest policy of a run called `name`, or a line that says why there is none."""
    try:
        player = painters.load(run, moved=moved)
        with tempfile.TemporaryDirectory() as folder:
            movie = pathlib.Path(folder) / "policy.mp4"
            clips, _, _ = film.render(player, film.RenderConfig(run, seconds=seconds), movie)
            data = base64.b64encode(movie.read_bytes()).decode()
    except UserError as error:
        warn([f"no video: {error}"])
        return f"<p>No video: {html.escape(str(error))}</p>"
    end = film.episodes(clips[0])[0]
    words = f"{name} after {player.after}: {end.total:,.1f} in {end.steps:,} control steps"
    source = f'<video controls loop muted autoplay src="data:video/mp4;base64,{data}"></video>'
    return f"<figure>{source}<figcaption>{html.escape(words)}</figcaption></figure>"


def picture(path: pathlib.Path, words: str) -> str:
    """A PNG inside of the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    alt = html.escape(words)
    return f'<figure><img alt="{alt}" src="data:image/png;base64,{data}"><figcaption>{alt}</figcaption></figure>'


def draw_data(folders: tuple[pathlib.Path, ...], out: pathlib.Path) -> dict[pathlib.Path, str]:
    """Draws each choice of logged data that runs learned from, once; the PNGs, and what is said below them.

    What cannot be read any more is left out with a warning.
    """
    drawn: dict[pathlib.Path, str] = {}
    for logged in dict.fromkeys(settings.read(folder).logged for folder in folders):
        if not logged:
            continue
        path = out.with_name(f"{out.stem}-data{len(drawn) + 1 if drawn else ''}.png")
        try:
            data_figure.histograms(joined(logged.read()), path)
        except UserError as error:
            warn([f"no picture of {' and '.join(logged.data)}: {error}"])
            continue
        drawn[path] = f"What was learned from: {' and '.join(logged.data)}."
    return drawn


def write(
    config: ReportConfig, folders: tuple[pathlib.Path, ...], runs: list[Run], out: pathlib.Path
) -> list[pathlib.Path]:
    """Writes the report and its figures; returns the figures' paths."""
    groups = group(runs)
    drawn = {
        "curves": (figures.curves, "Mode return; a line is the mean of the seeds, its band reaches from the "
                   "worst to the best of them. Dotted: in the fast physics, where that is an approximation."),
        "time": (figures.time_split, "Where the wall-clock time went."),
        "diagnostics": (figures.diagnostics, "What training and the weighted regression did."),
    }  # fmt: skip
    pictures, paths = [], []
    for name, (draw, words) in drawn.items():
        path = out.with_name(f"{out.stem}-{name}.png")
        draw(groups, path)
        pictures.append(picture(path, words))
        paths.append(path)
    imitating = {name: some for name, members in groups.items() if (some := tracking.imitating(members))}
    if imitating:
        path = out.with_name(f"{out.stem}-tracking.png")
        tracking.draw(imitating, path)
        pictures.append(table(*tracking.rows(tracking.imitating(runs))) + picture(path, tracking.WORDS))
        paths.append(path)
    task = html.escape(" and ".join(dict.fromkeys(str(run.settings["env"]) for run in runs)))
    best = best_run(runs, folders)
    video = movie_of(best, runs[folders.index(best)].name, config.seconds, config.moved) if config.video else ""
    body = [f"<h1>{task}</h1>", summary(runs), pictures[0], video, *pictures[3:], *pictures[1:3]]
    data = draw_data(folders, out)
    body += [picture(path, words) for path, words in data.items()]
    body += ["<h2>Settings</h2>", differences(runs)]
    head = f'<meta charset="utf-8"><title>awr_mjx: {task}</title><style>{STYLE}</style>'
    with replacing(out) as part:
        part.write_text(
            f"<!doctype html><html lang=en><head>{head}</head><body>\n" + "\n".join(body) + "\n</body></html>",
            encoding="utf-8",
        )
    return [*paths, *data]


def main() -> int:
    """Writes the report and says where it is."""
    config = cli.parse(ReportConfig, cli.arguments(), prog=program("report"), description="Report on runs.")
    if not config.runs:
        raise UserError(f"which runs? {program('report')} RUN [RUN ...]")
    folders, runs = read_all(config.runs)
    out = config.out or folders[0] / "report.html"
    if out.suffix != ".html":
        raise UserError(f"out must end in .html, not {out.suffix or 'nothing'}: {out}")
    if not 0 < config.seconds <= film.SECONDS_MAX:
        raise UserError(f"seconds must be above 0 and at most {film.SECONDS_MAX:g}, not {config.seconds}")
    check_writable(out, "name another file with --out")
    paths = write(config, folders, runs, out)
    print(f"{out}: {len(runs)} {'run' if len(runs) == 1 else 'runs'}, {out.stat().st_size / 1e6:.1f} MB")
    print(f"figures: {', '.join(map(str, paths))}")
    return 0


if __name__ == "__main__":
    run_program(main)
