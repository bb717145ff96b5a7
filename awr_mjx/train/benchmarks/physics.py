"""Env steps/s of tasks with random actions, beside Brax's task of the same name and CPU MuJoCo.

    python -m train.benchmark physics --env halfcheetah,hopper --num_envs 512,1024,4096

Ours and Brax's (where Brax is installed; backend mjx) run in the same vectorised loop with resets and time limits.
CPU MuJoCo steps the exact model with `mujoco.rollout` on all cores, without observations, rewards or resets.
"""

import dataclasses
import os
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import mujoco
import mujoco.rollout
import numpy as np
from rich.table import Table

from awr_mjx.envs import registry, tables
from awr_mjx.envs.base import Env, UnknownTask
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.envs.vector import VectorEnv
from awr_mjx.train.benchmarks import results
from awr_mjx.train.benchmarks.loop import random_steps
from awr_mjx.train.console import cli, files
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import jax_setup

CPU_ENVS = 64  # what CPU MuJoCo steps at once; more change nothing there


@dataclasses.dataclass(frozen=True)
class PhysicsConfig:
    """What to measure."""

    env: str = "ant"
    """Tasks, separated by commas."""
    num_envs: str = "1024"
    """Numbers of environments, separated by commas."""
    steps: int = 8
    """Control steps per measurement."""
    repeats: int = 5
    """Turns; the median counts."""
    out: pathlib.Path | None = None
    """JSON file to write."""


def stepper(env: Env, num_envs: int, steps: int) -> tuple[Callable[[], Any], float]:
    """Returns a call that steps `num_envs` environments `steps` times from where it left them, and compile seconds."""
    venv = VectorEnv(env, num_envs)
    state = tables.jit(venv.init, env)(jax.random.key(0))
    begun = time.perf_counter()
    several = tables.jit(lambda s, key: random_steps(venv, s, key, steps), env)
    program, _ = several.compile(state, jax.random.key(1))
    seconds = time.perf_counter() - begun
    kept = {"state": state, "key": jax.random.key(1)}

    def call() -> Any:
        kept["key"], key = jax.random.split(kept["key"])
        kept["state"], reward = program(kept["state"], key)
        return reward

    jax.block_until_ready(call())
    return call, seconds


def cpu_stepper(name: str, steps: int) -> Callable[[], Any] | None:
    """Returns a call that steps `CPU_ENVS` copies of the task's exact model with CPU MuJoCo; None if it has none."""
    try:
        env: Any = registry.make(name, TaskOptions(physics="exact"))
    except UnknownTask:
        return None
    model, count = env.mj_model, CPU_ENVS
    data = [mujoco.MjData(model) for _ in range(os.cpu_count() or 1)]
    full = mujoco.mjtState.mjSTATE_FULLPHYSICS
    start = np.zeros((count, mujoco.mj_stateSize(model, full)))
    for row in start:
        mujoco.mj_getState(model, data[0], row, full)
    rng = np.random.default_rng(0)
    low, high = model.actuator_ctrlrange.T
    kept = {"state": start}

    def call() -> Any:
        control = np.repeat(rng.uniform(low, high, (count, steps, model.nu)), env.frame_skip, axis=1)
        states, _ = mujoco.rollout.rollout(model, data, kept["state"], control)
        kept["state"] = states[:, -1]
        return states

    call()
    return call


def measure(name: str, num_envs: int, config: PhysicsConfig) -> dict[str, Any]:
    """Env steps/s of task `name`: ours, Brax's where there is one, and CPU MuJoCo's, in turns."""
    calls: dict[str, tuple[Callable[[], Any], int]] = {}
    call, compile_seconds = stepper(registry.make(name), num_envs, config.steps)
    calls["ours"] = call, num_envs
    try:
        calls["brax"] = stepper(registry.make(f"brax/{name}"), num_envs, config.steps)[0], num_envs
    except UnknownTask:
        pass
    cpu = cpu_stepper(name, config.steps)
    if cpu:
        calls["cpu"] = cpu, CPU_ENVS
    seconds: dict[str, list[float]] = {kind: [] for kind in calls}
    for _ in range(config.repeats):
        for kind, (call, _) in calls.items():
            begun = time.perf_counter()
            jax.block_until_ready(call())
            seconds[kind].append(time.perf_counter() - begun)
    rates = {kind: calls[kind][1] * config.steps / statistics.median(times) for kind, times in seconds.items()}
    return {"env": name, "num_envs": num_envs, "compile_seconds": compile_seconds, "steps_per_second": rates}


def table(measured: list[dict[str, Any]]) -> Table:
    """A row for each number of environments."""
    columns = ("env", "envs", "ours", "Brax mjx", "CPU MuJoCo", "ours / Brax", "compile s")
    made = Table(*columns, title="env steps/s with random actions")
    for r in measured:
        rates = r["steps_per_second"]
        cells = [f"{rates[kind]:,.0f}" if kind in rates else "-" for kind in ("ours", "brax", "cpu")]
        ratio = f"{rates['ours'] / rates['brax']:.2f}" if "brax" in rates else "-"
        made.add_row(r["env"], str(r["num_envs"]), *cells, ratio, f"{r['compile_seconds']:.1f}")
    return made


def main(args: list[str]) -> int:
    """Measures and prints; writes JSON if asked."""
    prog = f"{program('benchmark')} physics"
    config = cli.parse(PhysicsConfig, args, prog=prog, description=(__doc__ or "").strip())
    if config.out:
        files.check_writable(config.out, "name another file with --out")
    counts = [int(part) if part.strip().isdigit() else 0 for part in config.num_envs.split(",")]
    if min(*counts, config.steps, config.repeats) <= 0:
        raise UserError("num_envs (such as 512,1024), steps and repeats must be positive numbers")
    names = [name.strip() for name in config.env.split(",")]
    for name in names:  # before minutes of compiling the first
        registry.find(name)
    jax_setup.start_jax(reserve=True)
    measured = []
    with results.growing(110) as show:
        for name in names:
            for count in counts:
                measured.append(measure(name, count, config))
                if config.out:
                    files.write_json(config.out, {"device": jax.devices()[0].device_kind, "results": measured})
                show(table(measured))
    return 0
