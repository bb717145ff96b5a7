"""One HTML file that tells what runs did: `python -m train.report RUN [RUN ...]`.

For each task: what its runs reached and were started with, a video of the best of them, learning curves (runs that
differ in their seed alone are one band), diagnostics of the weighted regression, where the time went, how the settings
differ, and what logged data are like that were learned from. The file needs nothing but a browser; the figures lie
beside it as PNGs too.
"""

import base64
import dataclasses
import html
import pathlib
import tempfile
from typing import Annotated, Any

import numpy as np
import tyro

from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program, warn
from awr_mjx.train.console.files import check_writable, replacing
from awr_mjx.train.datasets.data_set import joined
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.task_files import STAYED, Moved, MovedOption
from awr_mjx.train.pictures import (
    data_figure,
    diagnostics,
    figures,
    film,
    painters,
    report_page,
    runs,
    theme,
    tracking,
)
from awr_mjx.train.pictures.runs import Run


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """What to report on."""

    runs: Annotated[tuple[pathlib.Path, ...], tyro.conf.Positional]
    """Run folders; each task has a section of its own. What is no run is left out."""
    out: pathlib.Path | None = None
    """HTML file to write, its figures beside it; report.html in the first run's folder if not given."""
    video: bool = True
    """Show the run of each task with the highest mode return in a video."""
    seconds: float = 10.0
    """Length of a video."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the first run's task are now that have been moved."""


Folders = dict[str, pathlib.Path]  # of runs, by their names


def best_run(members: list[Run]) -> Run:
    """The run with the highest mode return."""
    returns = [max((point["mode_return"] for point in run.evaluations()), default=-np.inf) for run in members]
    return members[int(np.argmax(returns))]


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
    return report_page.movie(data, f"{name} after {player.after}: {end.total:,.1f} in {end.steps:,} control steps")


class Figures:
    """The figures of a report, which lie beside it and are in it.

    Attributes:
      paths: those that were written.
    """

    def __init__(self, out: pathlib.Path) -> None:
        """They are called as the report `out`, with a name of their own after it."""
        self._out, self.paths = out, list[pathlib.Path]()

    def add(self, name: str, drawn: Any, words: str) -> str:
        """Writes a figure as a PNG, and returns it for the page, with `words` below it."""
        path = self._out.with_name(f"{self._out.stem}-{name}.png")
        theme.save(drawn, path)
        self.paths.append(path)
        return report_page.picture(drawn, words)


def section(members: list[Run], folders: Folders, config: ReportConfig, drawn: Figures, suffix: str) -> list[str]:
    """The parts of a page on runs of one task; `suffix` ends the names of their figures."""
    groups = runs.group(members)
    parts = [report_page.summary(members) + report_page.about(members)]
    if config.video:
        best = best_run(members).name
        parts.append(movie_of(folders[best], best, config.seconds, config.moved))
    body = ['<div class="beside">', *(f"<div>{part}</div>" for part in parts), "</div>"]
    if any(run.evaluations() or run.newest(runs.FAST) is not None for run in members):
        body.append(drawn.add(f"curves{suffix}", figures.curves(groups), figures.curves_words(groups)))
    else:
        body.append("<p>There is no evaluation yet.</p>")
    imitating = {name: some for name, of_group in groups.items() if (some := tracking.imitating(of_group))}
    if imitating:
        body += ["<h3>Imitation</h3>", report_page.table(*tracking.rows(tracking.imitating(members)))]
        body.append(drawn.add(f"tracking{suffix}", tracking.draw(imitating), tracking.WORDS))
    if diagnostics.told(groups):
        body += ["<h3>Diagnostics</h3>"]
        body.append(drawn.add(f"diagnostics{suffix}", diagnostics.draw(groups), diagnostics.words(groups)))
    body += ["<h3>Time</h3>", drawn.add(f"time{suffix}", figures.time_split(groups), figures.TIME_WORDS)]
    data = _data([folders[run.name] for run in members], drawn, suffix)
    body += ["<h3>Data</h3>", *data] if data else []
    return [*body, "<h3>Settings</h3>", report_page.differences(members)]


def _data(folders: list[pathlib.Path], drawn: Figures, suffix: str) -> list[str]:
    """Pictures of each choice of logged data that runs learned from, once.

    What cannot be read any more is left out with a warning.
    """
    parts = list[str]()
    for logged in dict.fromkeys(settings.read(folder).logged for folder in folders):
        if not logged:
            continue
        names = " and ".join(logged.data)
        try:
            picture = data_figure.histograms(joined(logged.read()))
        except UserError as error:
            warn([f"no picture of {names}: {error}"])
            continue
        number = str(len(parts) + 1) if parts else ""
        parts.append(drawn.add(f"data{number}{suffix}", picture, f"What was learned from: {names}."))
    return parts


def write(config: ReportConfig, folders: tuple[pathlib.Path, ...], found: list[Run], out: pathlib.Path) -> Figures:
    """Writes the report and its figures, a section for each task; returns the figures."""
    places = {run.name: folder for run, folder in zip(found, folders, strict=True)}
    tasks, drawn = runs.by_task(found), Figures(out)
    body = [report_page.heading(found)]
    for task, members in tasks.items():
        suffix = f"-{task.replace('/', '-')}" if len(tasks) > 1 else ""
        body += [f"<h2>{html.escape(task)}</h2>"] if suffix else []
        asked = config if task == found[0].task else dataclasses.replace(config, moved=STAYED)
        body += section(members, places, asked, drawn, suffix)
    with replacing(out) as part:
        part.write_text(report_page.page(f"{' and '.join(tasks)}: awr_mjx", body), encoding="utf-8")
    return drawn


def main() -> int:
    """Writes the report and says where it is."""
    config = cli.parse(ReportConfig, cli.arguments(), prog=program("report"), description="Report on runs.")
    if not config.runs:
        raise UserError(f"which runs? {program('report')} RUN [RUN ...]")
    folders, found = runs.read_all(config.runs)
    out = config.out or folders[0] / "report.html"
    if out.suffix != ".html":
        raise UserError(f"out must end in .html, not {out.suffix or 'nothing'}: {out}")
    if not 0 < config.seconds <= film.SECONDS_MAX:
        raise UserError(f"seconds must be above 0 and at most {film.SECONDS_MAX:g}, not {config.seconds}")
    check_writable(out, "name another file with --out")
    drawn = write(config, folders, found, out)
    print(f"{out}: {len(found)} {'run' if len(found) == 1 else 'runs'}, {out.stat().st_size / 1e6:.1f} MB")
    print(f"figures: {', '.join(map(str, drawn.paths))}")
    return 0


if __name__ == "__main__":
    run_program(main)
