"""Trainings as processes of their own, one after the other or side by side, and the learning curves they leave.

A campaign's folder has a run folder for each training. What is finished there is not trained again, and what was
stopped goes on, so the same command can be given until all is there.
"""

import contextlib
import dataclasses
import datetime
import io
import math
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast

from rich.console import Console

from awr_mjx.train.console import commands, files
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.screen import number
from awr_mjx.train.console.unfailing import Unfailing
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import jax_setup, lock, metrics_log, restoring, surroundings, together
from awr_mjx.train.engine.command_line import parse
from awr_mjx.train.engine.signals import Stop

Point = dict[str, float]
MAIN = "awr_mjx.train.main"
FAST = "mode_return_fast"  # where the mode return is that of the exact physics, and another one trains


@dataclasses.dataclass(frozen=True)
class Job:
    """A training: its folder's `name`, and the module and arguments of its program, without `--run_dir`.

    One of several `seeds` in one program has a run of each of them in its folder.
    """

    name: str
    args: tuple[str, ...]
    module: str = MAIN
    env: dict[str, str] = dataclasses.field(default_factory=dict)
    seeds: tuple[int, ...] = ()

    def runs(self, folder: pathlib.Path) -> list[pathlib.Path]:
        """The folders of its runs in that of the campaign."""
        own = folder / self.name
        return [own / together.SEED.format(seed) for seed in self.seeds] or [own]


def of_seeds(name: str, common: Sequence[str], own: Sequence[str], number: int, one_program: bool) -> list[Job]:
    """Trainings with the seeds from 0 on: a program for each, or one for all."""
    if one_program and number > 1:
        return [Job(name, (*common, *own), seeds=tuple(range(number)))]
    return [Job(f"{name}-{seed}", (*common, "--seed", str(seed), *own)) for seed in range(number)]


def default_folder(kind: str, env: str) -> pathlib.Path:
    """Where the runs of a kind of benchmark on a task lie, unless the user says otherwise."""
    return pathlib.Path("checkpoints") / "benchmark" / f"{kind}-{env.replace('/', '-')}"


def _note(run: pathlib.Path) -> pathlib.Path:
    """The file beside a run's folder that says which command it is of, and how many cores it had."""
    return run.with_name(run.name + ".json")


def cores(run: pathlib.Path) -> int | None:
    """How many of the CPU's cores a run of a campaign was trained on, in its last start; None if nobody knows."""
    found: int | None = files.read_object(_note(run)).get("cores")
    return found


def _command(job: Job) -> dict[str, Any]:
    # Folders of before the programs moved into `awr_mjx` go on.
    seeds = {"seeds": list(job.seeds)} if job.seeds else {}
    return {"module": job.module.removeprefix("awr_mjx."), "args": list(job.args), **seeds}


def settings_of(args: Sequence[str]) -> settings.TrainConfig:
    """The settings of a training by `train.main` with these arguments; its warnings come with it, in its log."""
    with contextlib.redirect_stderr(io.StringIO()):
        return parse(list(args)).config


def physics(chosen: str) -> tuple[str, ...]:
    """Arguments of a training whose mode returns are of the `chosen` physics; none where that is the default."""
    return () if chosen == settings.TrainConfig.eval_physics else ("--eval_physics", chosen)


def _check(job: Job, run: pathlib.Path) -> None:
    if run.exists() and not _command(job).items() <= files.read_object(_note(run)).items():
        raise UserError(f"{run} is not of this command: move it, or choose another --folder")
    if job.module != MAIN:
        return
    now = settings_of(job.args)
    if _begun(job, run):
        # A preset or a variant may have changed since: what is there would be mixed with what it is now.
        then = together.read(run)
        changed = settings.differences(then, dataclasses.replace(now, devices=then.devices))
        if changed:
            raise UserError(f"{run} has other settings ({', '.join(changed)}): move it, or choose another --folder")


def _begun(job: Job, run: pathlib.Path) -> bool:
    """Whether there is something in `run` to go on with."""
    runs = job.runs(run.parent)
    return any(restoring.steps(one) or (job.module == MAIN and (one / "config.json").is_file()) for one in runs)


def _start(job: Job, run: pathlib.Path, own: list[int]) -> subprocess.Popen[bytes]:
    """Starts a job on some CPU cores, or goes on with it where it has begun; its output is in `run`.log."""
    files.write_json(_note(run), _command(job) | {"cores": len(own) or jax_setup.cores()})
    place = ["--run_dir", str(run), *(["--num_seeds", str(len(job.seeds))] if job.seeds else [])]
    if _begun(job, run):
        place = ["--resume", str(run)]
    elif run.exists():
        shutil.rmtree(run)
    with run.with_name(run.name + ".log").open("ab") as log, _only(own):
        return subprocess.Popen(
            # Not from the working directory, where a `train.py` of the user's may lie.
            [sys.executable, "-P", "-m", job.module, *job.args, *place],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=surroundings.of_programs() | job.env,
            start_new_session=True,  # a terminal's Ctrl-C is for us, who pass it on; twice would mean "at once"
        )


@contextlib.contextmanager
def _only(cores: list[int]) -> Iterator[None]:
    """Processes that are started in here run on these cores, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def check_settings(given: Sequence[str], own: Sequence[str]) -> None:
    """Checks what `--set` gives to the trainings: settings by NAME=VALUE, none of them the benchmark's `own`.

    Raises:
      UserError: if one is not.
    """
    for setting in given:
        name, equals, value = setting.partition("=")
        if name.replace("-", "_") in own:
            raise UserError(f"--set {setting}: {name} is the benchmark's own, see --help")
        if not (name and equals and value):
            raise UserError(f"--set wants settings of train.main as NAME=VALUE, not {setting!r}")


def check_place(folder: pathlib.Path, at_once: int) -> None:
    """Makes the folder of a campaign.

    Raises:
      UserError: if nothing can be written there, or there are not so many cores.
    """
    if at_once < 1 or at_once > jax_setup.cores():
        raise UserError(f"at_once must be from 1 to the {jax_setup.cores()} cores there are, not {at_once}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"cannot write in the folder {folder}: {error.strerror}") from error


def train(jobs: Sequence[Job], folder: pathlib.Path, at_once: int = 1) -> None:
    """Trains every job that is not finished, `at_once` at a time, each on its own share of the CPU's cores.

    Raises:
      UserError: if a job's settings make no sense, before any starts; if a job fails (with the last line it printed)
        or is stopped; or if `folder` has runs of other commands.
    """
    check_place(folder, at_once)
    with lock.held(folder):  # a second campaign would take away what Brax's trainers, which hold no lock, have done
        for job in jobs:
            _check(job, folder / job.name)
        _work(jobs, folder, at_once)


def _work(jobs: Sequence[Job], folder: pathlib.Path, at_once: int) -> None:
    """Trains what is not finished; see `train`."""
    every = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    free = [every[i::at_once] for i in range(at_once)]
    waiting = [job for job in jobs if not _finished(job, folder)]
    console = Console(file=cast(IO[str], Unfailing(sys.stdout)), highlight=False, soft_wrap=True)
    console.print(f"{len(jobs)} trainings, {len(jobs) - len(waiting)} of them there already, in {folder}")
    had = {job.name: cores(folder / job.name) or len(free[0]) for job in jobs if job not in waiting}
    for name in (name for name in had if free[0] and had[name] != len(free[0])):
        console.print(f"{name} was trained on {had[name]} cores, not {len(free[0])}: so are its minutes")
    stop = Stop(careful=True)  # or the trainings would go on alone
    working: list[tuple[Job, subprocess.Popen[bytes], list[int]]] = []
    try:
        while (waiting or working) and not stop.asked:
            while waiting and free:
                job, own = waiting.pop(0), free.pop(0)
                working.append((job, _start(job, folder / job.name, own), own))
            time.sleep(0.5)
            for entry in [entry for entry in working if entry[1].poll() is not None]:
                working.remove(entry)
                job, process, own = entry
                free.append(own)
                if process.returncode:
                    raise UserError(f"{job.name} failed: {_last_line(folder / f'{job.name}.log')}")
                if not _finished(job, folder):
                    raise UserError(f"{job.name} was stopped: give the same command to go on with it")
                reached = [number(points[-1]["mode_return"]) for run in job.runs(folder) if (points := curve(run))]
                words = f"mode return {', '.join(reached)}" if reached else "never evaluated"
                console.print(f"{datetime.datetime.now():%H:%M} {job.name}: {words}, {len(waiting)} waiting")
        if stop.asked:
            ours = [job for job, _, _ in working if job.module == MAIN]
            lost = ", Brax's starts anew" if len(ours) < len(working) else ""
            console.print(f"stopped by {stop.asked}: {len(ours)} trainings save what they have{lost}")
            raise KeyboardInterrupt
    finally:
        for _, process, _ in working:
            process.terminate()
        for _, process, _ in working:
            process.wait()
        stop.close()


def _finished(job: Job, folder: pathlib.Path) -> bool:
    return all(_is_finished(run) for run in job.runs(folder))


def _is_finished(run: pathlib.Path) -> bool:
    path = run / "summary.json"
    summary = files.read_object(path)
    if path.is_file() and "finished" not in summary:
        raise UserError(f"{path} is spoilt: remove it, and give the same command again")
    return bool(summary.get("finished"))


def _last_line(log: pathlib.Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it printed nothing"


def curve(run: pathlib.Path) -> list[Point]:
    """The evaluations of a run, oldest first."""
    return [point for point in metrics_log.lines(run) if "mode_return" in point]


def trained(run: pathlib.Path) -> list[Point]:
    """The `curve` of a run that has finished.

    Raises:
      UserError: if nothing is left of it.
    """
    points = curve(run)
    if not points:
        raise UserError(f"{run / 'metrics.jsonl'} has no evaluation any more: move {run}, and train it anew")
    return points


def first_at(points: list[Point], value: float, name: str = "mode_return") -> Point | None:
    """The first evaluation whose mode return, or what else is called `name`, is at least `value`."""
    return next((point for point in points if point.get(name, -math.inf) >= value), None)


def about() -> dict[str, Any]:
    """The command, the day and the machine, for a file of results."""
    cpu = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.is_file():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        cpu = names[0] if names else cpu
    return {
        "command": commands.command("benchmark", *sys.argv[1:]),
        "date": f"{datetime.date.today()}",
        "machine": f"{jax_setup.cores()} CPU cores ({cpu})",
        "python": platform.python_version(),
    }
