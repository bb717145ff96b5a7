"""The list of tasks that `python -m train.main --env list` shows."""

import importlib

from rich.console import Console
from rich.table import Column, Table

from awr_mjx.envs import registry
from awr_mjx.envs.base import BrokenTask, Env, UnknownTask
from awr_mjx.envs.registry import FAMILIES
from awr_mjx.train.console.working import track


def show_tasks() -> None:
    """Prints every task with its sizes, time limit and source, and what to install for those that are missing."""
    notes, left_out = [], []
    found = [(name, registry.source(name)) for name in registry.names()]
    for family, module in FAMILIES.items():
        try:
            tasks = importlib.import_module(module)
            found += [(f"{family}/{name}", tasks.SOURCE) for name in tasks.names() if not tasks.fetches(name)]
            left_out += [f"{family}/{name}" for name in tasks.names() if tasks.fetches(name)]
        except UnknownTask as missing:
            notes.append(str(missing))
    table = Table(Column("task", no_wrap=True), "observation", "action", "time limit", "control step", "source")
    for name, source in track(found, "building every task once"):
        try:
            env = registry.make(name)
        except (UnknownTask, BrokenTask) as broken:
            notes += [] if str(broken) in notes else [str(broken)]  # twice of a clip's task and the paper's
            table.add_row(name, "-", "-", "-", "-", source)
        else:
            limit, step = f"{env.episode_length} steps", f"{env.dt:.4g} s"
            table.add_row(name, str(env.observation_size), _action(env), limit, step, source)
    console = Console()
    if not console.is_terminal:
        console.width = 160  # whole names for whoever reads a pipe
    console.print(table)
    if left_out:
        notes.append(f"These fetch their models when first used: {', '.join(left_out)}")
    for note in notes:
        console.print(note, highlight=False, markup=False)


def family(name: str) -> list[str]:
    """Returns the names of all tasks that `name` stands for: `all` (that need no files), a family, or itself.

    Raises:
      UnknownTask: if the family's package is missing.
    """
    if name == "all":
        return [task for task in registry.names() if task not in registry.WITH_FILES]
    prefix = name.removesuffix("/")
    if name.endswith("/") and prefix in FAMILIES:
        tasks = importlib.import_module(FAMILIES[prefix])
        return [f"{prefix}/{task}" for task in tasks.names() if not tasks.fetches(task)]
    return [name]


def _action(env: Env) -> str:
    return f"{env.action_size} {'choices' if env.discrete else 'continuous'}"
