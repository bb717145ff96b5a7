"""The folder of a run: how it is made, who may train in it, and what its `config.json` says."""

import contextlib
import datetime
import itertools
import json
import math
import os
import pathlib
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from awr_mjx.train.console import files
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import lock, metrics_log, progress, provenance, restoring, task_files
from awr_mjx.train.engine.checkpoint_format import folder
from awr_mjx.train.engine.config import TrainConfig

RUNS = pathlib.Path("checkpoints")


def refuse_existing(run: pathlib.Path) -> None:
    """Raises UserError if there is something at `run`, where a new run is to be made."""
    if (run / "config.json").is_file():
        again = shlex.join(["--resume", str(run)])
        raise UserError(f"{run} exists already: go on with {again}, or choose another --run_dir")
    if next(run.glob("*/config.json"), None):
        raise UserError(f"{run} has runs in it already: go on with one or all (--resume), or choose another --run_dir")
    if run.exists():
        raise UserError(f"{run} exists already and is not a run folder: choose another --run_dir, or remove it")


@contextlib.contextmanager
def made(
    run: pathlib.Path | None, configs: Mapping[str, TrainConfig], about: Mapping[str, Any]
) -> Iterator[list[pathlib.Path]]:
    """Makes and holds the folder `run`, or one of its own for task and time, with folders for the names of `configs`.

    In each is a `config.json`, which also says `about` this start. A UserError before the first checkpoint takes all
    away again.

    Raises:
      UserError: if it exists, or the file system refuses.
    """
    whole = _new(run, next(iter(configs.values())))
    places = [whole / name for name in configs]
    with contextlib.ExitStack() as stack:
        try:
            for place, config in zip(places, configs.values(), strict=True):
                try:
                    place.mkdir(exist_ok=True)
                except OSError as error:
                    raise UserError(f"cannot make the run folder {place}: {error.strerror}") from error
                stack.enter_context(lock.held(place))
                of_task = {"files": task_files.checksums(config.task)}
                _write(place, config, {**about, **of_task})
            yield [place.absolute() for place in places]
        except UserError:
            if not any(folder(place).exists() for place in places):
                shutil.rmtree(whole, ignore_errors=True)
            raise


def _new(run: pathlib.Path | None, config: TrainConfig) -> pathlib.Path:
    """Makes the folder `run`, or one of its own for task and time.

    Raises:
      UserError: if it exists, or the file system refuses.
    """
    place = run or RUNS / f"{config.env.replace('/', '-')}-{datetime.datetime.now():%Y%m%d-%H%M%S}"
    # Two seeds that are started in one second have one name; only one of them can make the folder.
    names = (
        [run] if run else itertools.chain([place], (place.with_name(f"{place.name}-{i}") for i in itertools.count(2)))
    )
    for one in names:
        try:
            one.mkdir(parents=True)
        except FileExistsError:
            if run:
                refuse_existing(run)
                raise UserError(f"cannot make the run folder {run}: a file is in its way") from None
        except OSError as error:
            raise UserError(f"cannot make the run folder {one}: {error.strerror}") from error
        else:
            return one
    raise AssertionError("there is always another name")


@contextlib.contextmanager
def taken_up(run: pathlib.Path) -> Iterator[None]:
    """Holds the folder of a run that is to be resumed.

    Raises:
      UserError: if another process trains in it, it cannot be written to, or its checkpoints are not there any more.
    """
    with lock.held(run):
        for place in (run, run / "checkpoints", run / "tensorboard"):
            if not os.path.lexists(place):
                continue
            if not place.is_dir():
                raise UserError(f"{place} is no folder{_leads(place)}: bring it back before the run goes on")
            try:
                tempfile.TemporaryFile(dir=place).close()
            except OSError as error:
                raise UserError(f"cannot write in {place}: {error.strerror}") from error
        _refuse_lost(run)
        yield


def _leads(place: pathlib.Path) -> str:
    return f" but a link to {os.readlink(place)}" if place.is_symlink() else ""


def _refuse_lost(run: pathlib.Path) -> None:
    """Raises UserError if `run` has no checkpoint but was trained: from its settings it would begin anew.

    One that was stopped before its first save has logged nothing.
    """
    if restoring.steps(run):
        return
    last = max((int(metrics_log.step_of(values)) for values in metrics_log.lines(run)), default=0)
    if last:
        raise UserError(
            f"{run} was trained for {last:,} steps, but its checkpoints are gone: bring {run / 'checkpoints'} "
            "back, or train anew in another --run_dir"
        )


def data_of(run: pathlib.Path) -> dict[str, Any]:
    """What the run says of the logged data that it learns from; empty if it does not."""
    return _dict(_was(run)[0].get("data"))


def shared_over(run: pathlib.Path, last: bool = False) -> int:
    """Over how many devices the run and those beside it were shared out, at first or at `last`; 0: it was alone."""
    about, resumed = _was(run)
    found = [about, *resumed][-1 if last else 0].get("shared_over")
    return found if isinstance(found, int) else 0


def files_of(run: pathlib.Path) -> dict[str, Any]:
    """The checksums (`task_files.checksums`) of the files that the run's task was made of when it was begun.

    Empty if it does not say.
    """
    return _dict(_was(run)[0].get("files"))


def refuse_other_files(run: pathlib.Path, config: TrainConfig) -> None:
    """Raises UserError if the files of the task are not there, or are not those that `run` was begun with."""
    task_files.now(run, settings.read(run).task, task_files.Moved.to(config.task))
    if found := task_files.changes(run, config.task, files_of(run)):
        raise UserError(f"{found[0]}; bring back what it was, or train anew")


def refuse_other_data(run: pathlib.Path, data: dict[str, Any] | None) -> None:
    """Raises UserError if `run` was begun on logged data that are not `data`."""
    was = data_of(run)
    if data and was.get("checksum") != data["checksum"]:
        raise UserError(
            f"the data are not those that {run} was begun on ({was.get('steps')} steps, checksum "
            f"{was.get('checksum')}; now {data['steps']} and {data['checksum']}): bring these back, or train anew"
        )


def remake(run: pathlib.Path, said: dict[str, Any]) -> str | None:
    """Makes the folder of a run under way once more, after somebody has moved or removed it; returns what is wrong.

    `said` is what its `config.json` said.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        files.write_json(run / "config.json", said)
    except (OSError, UserError) as error:
        return f"it cannot be made anew ({error})"
    return None


def refuse_done(run: pathlib.Path, config: TrainConfig, done: int) -> None:
    """Raises UserError if a run with `done` env steps has nothing left to do, by its steps or by its minutes.

    One that was killed between its last save and its summary goes on, to write that, and so does one whose last
    evaluation was broken off.
    """
    if not (run / "summary.json").exists() or progress.owes_evaluation(run, config, done):
        return
    if done >= config.num_steps:
        raise UserError(f"{run} has {done:,} {config.clock_words} already: give a larger --num_steps than {done:,}")
    minutes = metrics_log.newest(metrics_log.lines(run, done)).get("train_seconds", 0.0) / 60
    if config.minutes and minutes >= config.minutes:
        shown = f"{math.ceil(minutes * 100) / 100:g}"
        raise UserError(f"{run} has {shown} minutes already: give a larger --minutes than {shown}, or 0 for no limit")


def described(run: pathlib.Path) -> dict[str, str]:
    """The settings of a run and how it was started, as tables in Markdown."""
    about, resumed = _was(run)
    starts = [one for one in (about, *resumed) if one]
    lines = [
        f"| {one.get('started')} | `{shlex.join(map(str, one.get('argv', [])))}` | {one.get('commit')} |"
        for one in starts
    ]
    told = settings.flatten(json.loads((run / "config.json").read_text())["settings"])
    rows = [f"| {name} | {value} |" for name, value in told.items()]
    return {
        "run/starts": "\n".join(["| started | arguments | commit |", "|---|---|---|", *lines]),
        "run/settings": "\n".join(["| setting | value |", "|---|---|", *rows]),
    }


def note_resume(run: pathlib.Path, config: TrainConfig, done: int, now: Mapping[str, Any]) -> None:
    """Keeps the settings with which `run` goes on from `done` env steps, and what is so `now`, in its `config.json`.

    Its summary, which is of the run before, goes.

    Raises:
      UserError: if the file cannot be written.
    """
    about, resumed = _was(run)
    about["resumed"] = [*resumed, {config.clock: done, **now}]
    _write(run, config, about)
    (run / "summary.json").unlink(missing_ok=True)


def not_as_before(run: pathlib.Path, done: int, words: str) -> list[str]:
    """Warnings if `run`, resumed at `done` steps (`words`), was trained by other versions or lost its log."""
    about, resumed = _was(run)
    last = [about, *resumed][-1]
    before, here = _dict(last.get("packages")), provenance.packages()
    changed = [
        f"{name} {before[name]} -> {here[name]}"
        for name in provenance.COMPUTE
        if before.get(name, here[name]) != here[name]
    ]
    if last.get("tasks") and provenance.tasks() and last["tasks"] != provenance.tasks():
        changed.append("the file of tasks has changed")
    if last.get("draws", 1) != provenance.DRAWS:
        changed.append("episodes' starts are drawn in another way")
    found = [f"this resume may not be exact: {', '.join(changed)} since the run was trained"] if changed else []
    if done and not any(metrics_log.lines(run, done)):
        found.append(f"there are no metrics up to {done:,} {words}: minutes are counted from 0 again")
    return found


def _write(run: pathlib.Path, config: TrainConfig, about: dict[str, Any]) -> None:
    files.write_json(run / "config.json", {"settings": settings.to_dict(config), "about": about})


def _was(run: pathlib.Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What `config.json` says a run was trained with, at first and in each resume, as far as it does."""
    about = _dict(_dict(json.loads((run / "config.json").read_text())).get("about"))
    resumed = about.get("resumed")
    return about, [_dict(one) for one in resumed] if isinstance(resumed, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
