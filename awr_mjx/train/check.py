"""Is a task sound: `python -m train.check --env hopper,brax/ant` steps it with random actions and says what it saw.

Steps N environments, as training does, through whole episodes and resets. Tasks of your own, of Brax and of Playground
are checked like those that come with the project; `all`, `brax/` and `playground/` stand for all tasks of a family.
"""

import dataclasses
import time
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console
from rich.table import Column, Table

from awr_mjx.envs import registry, tables
from awr_mjx.envs.advance import LIMIT
from awr_mjx.envs.base import BrokenTask, Env, UnknownTask
from awr_mjx.envs.checks import check_task
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.envs.vector import VectorEnv, VectorState, random_actions
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.console.tasks import family
from awr_mjx.train.console.working import track
from awr_mjx.train.engine import jax_setup
from awr_mjx.train.engine.streams import stream

CHUNK = 100  # steps per call of the compiled program
STALE = 0.1  # share of resets that may repeat a start, beyond chance; drawn from a pool of 64 or more, under 2 % do
LEGEND = f"""\
broken steps: gave a number that is not finite or beyond {LIMIT:g}; each is a fault.
repeated starts: resets to the very state that the environment had started from before; more than {STALE:.0%} of the
episode ends are a fault, beyond what chance gives: a pool of starts is drawn from, and a task may have few."""


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """What to check."""

    env: str = "all"
    """Tasks, separated by commas."""
    options: Annotated[TaskOptions, tyro.conf.arg(name="env")] = dataclasses.field(default_factory=TaskOptions)
    """Options of the tasks."""
    num_envs: int = 64
    """Environments that step in parallel."""
    steps: int = 1000
    """Control steps of each (rounded up to whole hundreds)."""


def check(env: Env, num_envs: int, steps: int) -> dict[str, Any]:
    """Steps `num_envs` environments `steps` times with random actions.

    Returns numbers: `compile_seconds`, `steps_per_second`, `ends` (of episodes), `broken` (steps that gave a number
    that is not finite, or too large), `stale` (resets to the same start as before), `starts` (different ones of those
    drawn first), `repeat_chance` (that two of these are the same).

    Raises:
      BrokenTask: if the task does not keep the protocol.
    """
    check_task(env)
    venv = VectorEnv(env, num_envs)

    def step(carry: tuple[VectorState, jax.Array], key: jax.Array) -> tuple[Any, Any]:
        state, start = carry
        key_action, key_step = jax.random.split(key)
        state, outcome = venv.step(state, random_actions(venv, key_action), key_step)
        fresh = ~outcome.valid
        stale = fresh & (state.env.obs == start).all(axis=-1)
        start = jnp.where(fresh[:, None], state.env.obs, start)
        ends = (state.ended, outcome.quarantined, stale)
        return (state, start), jnp.stack([x.sum() for x in ends])

    def chunk(carry: tuple[VectorState, jax.Array], key: jax.Array) -> tuple[Any, Any]:
        key_pool, key_steps = jax.random.split(key)
        state = venv.refresh(carry[0], key_pool)
        carry, counts = jax.lax.scan(step, (state, carry[1]), jax.random.split(key_steps, CHUNK))
        return carry, counts.sum(axis=0)

    key = stream(0, "check")
    state = tables.jit(venv.init, env)(jax.random.fold_in(key, 0))
    carry = state, state.env.obs
    drawn = np.concatenate([state.env.obs, state.pool.obs])
    _, often = np.unique(drawn, axis=0, return_counts=True)
    chance = float((often * (often - 1)).sum() / (len(drawn) * (len(drawn) - 1)))
    begun = time.perf_counter()
    program, _ = tables.jit(chunk, env).compile(carry, key)
    compile_seconds = time.perf_counter() - begun
    begun, total = time.perf_counter(), np.zeros(3, int)
    chunks = -(-steps // CHUNK)
    for number in range(chunks):
        carry, counts = program(carry, jax.random.fold_in(key, 1 + number))
        total += np.asarray(counts)
    rate = num_envs * chunks * CHUNK / (time.perf_counter() - begun)
    ends, broken, stale = (int(x) for x in total)
    found = {"ends": ends, "broken": broken, "stale": stale, "starts": len(often), "repeat_chance": chance}
    return found | {"compile_seconds": compile_seconds, "steps_per_second": rate}


def fault(found: dict[str, Any]) -> bool:
    """Whether what `check` found is a fault: a broken step, or far more repeated starts than by chance."""
    ends, chance = found["ends"], found["repeat_chance"]
    most = (chance + STALE) * ends + 3 * np.sqrt(ends * chance * (1 - chance))  # 3 standard deviations
    return bool(found["broken"] > 0 or found["stale"] > most)


def main() -> int:
    """Prints a row per task; the exit status is 1 if any has a fault."""
    description = (__doc__ or "").strip()
    config = cli.parse(CheckConfig, cli.arguments(), prog=program("check"), description=description)
    if min(config.num_envs, config.steps) <= 0:
        raise UserError("num_envs and steps must be positive numbers")
    jax_setup.start_jax()
    names = [name for part in config.env.split(",") for name in family(part)]
    console = Console(width=120)
    columns = ("obs, action", "episode ends", "broken steps", "repeated starts", "env steps/s", "compile s", "verdict")
    name_column = Column("task", no_wrap=True)
    table = Table(name_column, *columns, title=f"{config.num_envs} environments, {config.steps} random steps each")
    sound, notes = True, list[str]()
    for name in track(names, "checking"):
        try:
            env = registry.make(name, config.options)
            found = check(env, config.num_envs, config.steps)
        except (UnknownTask, BrokenTask) as error:
            sound = False
            notes.append(f"{name}: {error}")
            table.add_row(name, *["-"] * 6, "[red]fault")
            continue
        sound = sound and not fault(found)
        counts = (f"{found[key]:,}" for key in ("ends", "broken", "stale"))
        speed = f"{found['steps_per_second']:,.0f}", f"{found['compile_seconds']:.1f}"
        sizes = f"{env.observation_size}, {env.action_size}"
        if env.episode_length > 1 and found["ends"] >= config.num_envs * (config.steps // 2):  # a reset takes a row
            notes.append(f"{name}: every episode ends in its first step: is done the wrong way round?")
        few = found["repeat_chance"] > STALE
        starts = f", {found['starts']} starts" if found["starts"] > 1 else ", one start"
        verdict = "[red]fault" if fault(found) else f"sound{starts if few else ''}"
        table.add_row(name, sizes, *counts, *speed, verdict)
    console.print(table)
    console.print(LEGEND, markup=False, highlight=False)
    for note in notes:
        console.print(note, markup=False, highlight=False)
    return 0 if sound else 1


if __name__ == "__main__":
    run_program(main)
