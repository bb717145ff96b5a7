"""The HTML of a report: a page that needs nothing but a browser, on light and on dark screens."""

import datetime
import html
import shlex
from collections.abc import Callable
from typing import Any

from awr_mjx.train.console import commands
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.metrics_log import step_of
from awr_mjx.train.pictures import theme
from awr_mjx.train.pictures.runs import FAST, Run, clock, differing

FEW = 3  # commands that are shown at once
STYLE = f"""
:root {{ color-scheme: light dark; {theme.variables(dark=False)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {theme.variables(dark=True)} }} }}
* {{ box-sizing: border-box; }}
body {{ font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 74rem;
  margin: 2.5rem auto; padding: 0 1.25rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.2; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.35rem; margin: 2.5rem 0 0.5rem; padding-top: 1.25rem; border-top: 1px solid var(--grid); }}
h3 {{ font-size: 1.05rem; margin: 2rem 0 0.5rem; }}
.lead, figcaption, th, summary {{ color: var(--muted); }}
.lead {{ margin: 0.25rem 0 1.5rem; }}
.beside {{ display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 25rem); gap: 2rem; align-items: start; }}
.beside > :only-child {{ grid-column: 1 / -1; }}
@media (max-width: 60rem) {{ .beside {{ grid-template-columns: minmax(0, 1fr); gap: 0; }} }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin: 0 0 1.25rem; }}
th, td {{ border-bottom: 1px solid var(--grid); padding: 0.3rem 1.1rem 0.3rem 0; text-align: left;
  vertical-align: top; }}
th {{ font-weight: 500; }}
.of-runs {{ line-height: 1.3; }} .of-runs td {{ white-space: nowrap; font-variant-numeric: tabular-nums; }}
.about td {{ overflow-wrap: anywhere; }}
code {{ font: 0.87em/1.5 ui-monospace, monospace; }} code span {{ display: inline-block; }}
figure {{ margin: 1rem 0 2.25rem; }} .beside figure {{ margin: 0; }}
figure svg {{ display: block; width: 100%; height: auto; }}
@media (max-width: 48rem) {{ figure {{ overflow-x: auto; }} figure svg {{ width: 46rem; }} }}
figure svg text {{ font-family: system-ui, sans-serif !important; }}
figcaption {{ font-size: 0.9rem; max-width: 62rem; margin-top: 0.4rem; }}
video {{ display: block; width: 100%; border-radius: 6px; }}
summary {{ cursor: pointer; }}
"""


def page(title: str, body: list[str]) -> str:
    """The whole page, with `title` as plain text and `body` as parts in HTML."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{html.escape(title)}</title><style>{STYLE}</style>"
    parts = "\n".join(body)
    return f"<!doctype html><html lang=en><head>{head}</head><body>\n{parts}\n</body></html>"


def heading(runs: list[Run]) -> str:
    """What the report is on: the run's name or how many there are, and in a line the tasks, when, and how it ended."""
    tasks = ", ".join(dict.fromkeys(run.task for run in runs))
    name = runs[0].name if len(runs) == 1 else f"{len(runs)} runs of {tasks}"
    lead = [
        f"Advantage-weighted regression on {tasks}",
        _range(sorted(f"{when:%Y-%m-%d}" for run in runs if (when := _started(run)))),
    ]
    seeds = sorted({int(run.settings["seed"]) for run in runs})
    lead.append(f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}")
    lead.append(ending(runs[0]) if len(runs) == 1 else "")
    return f'<h1>{html.escape(name)}</h1><p class="lead">{html.escape(" · ".join(filter(None, lead)))}</p>'


def table(head: list[str], rows: list[list[Any]]) -> str:
    """An HTML table of runs; numbers of more than three digits get separators."""

    def cell(value: Any, tag: str = "td") -> str:
        is_count = isinstance(value, int) and not isinstance(value, bool)
        return f"<{tag}>{html.escape(f'{value:,}' if is_count else str(value))}</{tag}>"

    lines = ["<tr>" + "".join(cell(name, "th") for name in head) + "</tr>"]
    lines += ["<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows]
    return '<div class="scroll"><table class="of-runs">' + "\n".join(lines) + "</table></div>"


def summary(runs: list[Run]) -> str:
    """A table of what each run reached."""
    steps_word, fast = clock(runs), any(run.newest(FAST) is not None for run in runs)
    head = ["run", "seed", "last mode return", "best", *(["fast physics"] if fast else [])]
    rows = []
    for run in runs:
        evaluations, seconds = run.evaluations(), run.newest("train_seconds")
        steps = int(step_of(run.rows[-1]))
        last = _with_std(evaluations[-1]) if evaluations else "-"
        best = f"{max(point['mode_return'] for point in evaluations):,.1f}" if evaluations else "-"
        newest = run.newest(FAST)
        row = [run.name, run.settings["seed"], last, best]
        row += ["-" if newest is None else f"{newest:,.1f}"] if fast else []
        spent = [f"{seconds / 60:.1f}", f"{steps / max(seconds, 1e-9):,.0f}"] if seconds is not None else ["-", "-"]
        rows.append([*row, steps, *spent])
    return table([*head, steps_word, "minutes", f"{steps_word}/s"], rows)


def _with_std(point: dict[str, float]) -> str:
    std = f" ± {point['mode_return_std']:,.1f}" if "mode_return_std" in point else ""
    return f"{point['mode_return']:,.1f}{std}"


def about(runs: list[Run]) -> str:
    """A table of what runs were started with and how they ended, as far as they say."""
    facts: dict[str, Callable[[Run], str]] = {
        "state": ending,
        "data": _data,
        "device": lambda run: " then ".join(_each(run, "device")),
        "commit": lambda run: " then ".join(_each(run, "commit")),
        "versions": lambda run: " then ".join(dict.fromkeys(map(_versions, _starts(run)))),
        "resumed": lambda run: ", ".join(_resumed(run)),
    }
    starts = sorted(when for run in runs if (when := _started(run)))
    walls = sorted(seconds for run in runs if (seconds := run.newest("wall_seconds")) is not None)
    rows = [("started", _range([f"{when:%Y-%m-%d %H:%M %Z}" for when in starts]))]
    rows.append(("duration", _range([_duration(seconds) for seconds in walls])))
    rows += [(name, html.escape(_shared(runs, fact))) for name, fact in facts.items()]
    rows.append(("command", _commands(runs)))
    lines = [f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows if value]
    return '<table class="about">' + "\n".join(lines) + "</table>"


def _shared(runs: list[Run], fact: Callable[[Run], str]) -> str:
    """What all runs have in common, or else each value with the runs that have it; some may have none."""
    owners: dict[str, list[str]] = {}
    for run in runs:
        owners.setdefault(fact(run), []).append(run.name)
    if len(owners) == 1:
        return next(iter(owners))
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in owners.items() if value)


def _starts(run: Run) -> list[dict[str, Any]]:
    """What is said of the run's start and of each time that it was resumed."""
    resumed = run.about.get("resumed")
    every = [run.about, *(resumed if isinstance(resumed, list) else [])]
    return [one for one in every if isinstance(one, dict)]


def _each(run: Run, name: str) -> list[str]:
    """What the run was started with and resumed with, where that is another."""
    if not any(one.get(name) for one in _starts(run)):
        return []
    return list(dict.fromkeys(str(one.get(name) or "not known") for one in _starts(run)))


def _versions(start: dict[str, Any]) -> str:
    packages = start.get("packages")
    known = packages.items() if isinstance(packages, dict) else ()
    return ", ".join(f"{name} {version}" for name, version in known if version)


def _resumed(run: Run) -> list[str]:
    steps = [one.get("env_steps", one.get("gradient_steps")) for one in _starts(run)[1:]]
    return [f"after {done:,} {run.clock}" for done in steps if isinstance(done, int)]


def _commands(runs: list[Run]) -> str:
    """The command lines, those of many runs behind a fold."""
    lines = [
        (run.name, [commands.SCRIPT, "train", *map(str, start["argv"])])
        for run in runs
        for start in _starts(run)
        if isinstance(start.get("argv"), list)
    ]
    shown = "<br>".join(
        (f"{html.escape(name)}: " if len(runs) > 1 else "")
        + f"<code>{' '.join(f'<span>{html.escape(shlex.quote(word))}</span>' for word in line)}</code>"
        for name, line in lines
    )
    if len(lines) <= FEW:
        return shown
    return f"<details><summary>{len(lines)} command lines</summary>{shown}</details>"


def _data(run: Run) -> str:
    names, found = run.settings.get("logged", {}).get("data") or [], run.about.get("data")
    known = found if isinstance(found, dict) else {}
    counts = [f"{known[name]:,} {name}" for name in ("episodes", "steps") if isinstance(known.get(name), int)]
    return f"{' and '.join(names)}{': ' if counts else ''}{', '.join(counts)}" if names else ""


def ending(run: Run) -> str:
    """How the run has ended, as its summary says."""
    if not run.summary:
        return "not ended"
    return "finished" if run.summary.get("finished") else str(run.summary.get("why") or "not finished")


def _started(run: Run) -> datetime.datetime | None:
    try:
        return datetime.datetime.fromisoformat(str(run.about.get("started")))
    except ValueError:
        return None


def _range(words: list[str]) -> str:
    """The first and the last of them, once if they are the same."""
    return " to ".join(dict.fromkeys((words[0], words[-1]))) if words else ""


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{seconds / 60:.1f} min"


def differences(runs: list[Run]) -> str:
    """A table of the settings in which runs differ, and all settings of the first run behind a fold."""
    parts, differ = [], differing(runs)
    if differ:
        rows = [[name, *map(str, values)] for name, values in differ.items()]
        parts.append(table(["setting", *(run.name for run in runs)], rows))
    elif len(runs) > 1:
        parts.append("<p>All runs have the same settings.</p>")
    flat = settings.flatten(runs[0].settings)
    whole = table(["setting", "value"], [[name, str(value)] for name, value in flat.items()])
    parts.append(f"<details><summary>All settings of {html.escape(runs[0].name)}</summary>{whole}</details>")
    return "\n".join(parts)


def picture(drawn: Any, words: str) -> str:
    """A figure inside of the page, with `words` below it."""
    said = html.escape(words)
    return f"<figure>{theme.inline(drawn, said)}<figcaption>{said}</figcaption></figure>"


def movie(data: str, words: str) -> str:
    """A video, MP4 in base64, inside of the page, with `words` below it."""
    source = f'<video controls loop muted autoplay src="data:video/mp4;base64,{data}"></video>'
    return f"<figure>{source}<figcaption>{html.escape(words)}</figcaption></figure>"
