"""Env steps/s of training and of physics alone, and where the time goes.

python -m train.benchmark loop --env ant --num_envs 512 1024 2048 4096 8192
"""

import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from rich.table import Table

from awr_mjx.algorithm import replay, returns
from awr_mjx.envs import registry
from awr_mjx.envs.base import Env
from awr_mjx.envs.vector import VectorEnv, VectorState, random_actions
from awr_mjx.train.benchmarks import results
from awr_mjx.train.console import cli, files
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import jax_setup
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.loop import FIRST, LAYOUT, SAME, Loop, TrainState
from awr_mjx.train.engine.presets import preset

WIDTH = 130  # of the table, in characters
PHASES = ("collect", "insert", "relabel", "value", "policy")


@dataclasses.dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure."""

    env: str = "ant"
    """Task, with its preset."""
    num_envs: tuple[int, ...] = (4096,)
    """Numbers of environments to measure, each for itself."""
    devices: int = 0
    """Devices that share the work evenly; 0: as many as training would take. On CPUs each core is one."""
    repeats: int = 5
    """Turns; the median counts."""
    samples: int = 0
    """Env steps per iteration, the same for every number of environments; 0: the preset's rollout_steps for all."""
    out: pathlib.Path | None = None
    """JSON file to write."""


def timed(call: Callable[[], Any]) -> float:
    """Seconds until the arrays (any shapes [...]) that `call` gives are there."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def random_steps(venv: VectorEnv, state: VectorState, key: jax.Array, steps: int) -> tuple[VectorState, jax.Array]:
    """Returns the state after `steps` control steps with random actions, and the sum of rewards of each [steps]."""

    def step(state: VectorState, key: jax.Array) -> tuple[VectorState, jax.Array]:
        key_action, key_env = jax.random.split(key)
        state, outcome = venv.step(state, random_actions(venv, key_action), key_env)
        return state, outcome.reward.sum()

    return jax.lax.scan(step, state, jax.random.split(key, steps))


def programs(loop: Loop) -> dict[str, Any]:
    """Jitted functions of a `TrainState`: physics alone, and each phase of an iteration on its own."""
    learner, venv, config = loop.learner, loop.venv, loop.config

    def insert(state: TrainState) -> Any:
        rows = jax.tree.map(lambda x: x[: config.rollout_steps], state.ring.rows)
        return replay.insert(state.ring, rows), learner.observe(state.learner, rows).normalizer

    def relabel(state: TrainState) -> Any:
        g, v = learner.relabel(state.learner, state.ring, state.env.env.obs)
        return returns.advantages_and_weights(g, v, state.ring.rows.valid, config)

    def on_devices(function: Callable[[TrainState], Any]) -> Any:
        """What a device gives is kept on it, a slice of an array with a new first axis."""

        def apart(state: TrainState) -> Any:
            return jax.tree.map(lambda x: x[None], function(state))

        return loop.share_out(apart, (LAYOUT,), FIRST)

    return {
        "physics": on_devices(lambda s: random_steps(venv, s.env, s.key, config.rollout_steps)),
        "collect": on_devices(lambda s: loop.collect(s.learner, s.env, s.key)),
        "insert": loop.share_out(insert, (LAYOUT,), (LAYOUT.ring, SAME), donate_argnums=0),
        "relabel": on_devices(relabel),
        "value": on_devices(lambda s: learner.regress_value(s.learner, s.ring, s.ring.rows.reward, s.key)),
        "policy": on_devices(lambda s: learner.regress_policy(s.learner, s.ring, s.ring.rows.reward, s.key)),
    }


def measure(env: Env, config: TrainConfig, repeats: int) -> dict[str, Any]:
    """Env steps/s of physics alone and of whole training, their ratio, and seconds per iteration of every phase."""
    config, awr = jax_setup.choose_devices(config), config.awr
    loop = Loop(env, awr, config.num_envs, devices=config.devices)
    begun = time.perf_counter()
    state = loop.init(0)
    epoch, _ = loop.compile()
    compile_seconds = time.perf_counter() - begun
    for _ in range(awr.buffer_blocks + 1):  # fills the ring and warms up
        state, _ = epoch(state)
    parts = programs(loop)
    copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))
    for part in parts.values():
        jax.block_until_ready(part(copy(state)))

    seconds: dict[str, list[float]] = {name: [] for name in (*parts, "train")}
    for _ in range(repeats):
        begun = time.perf_counter()
        state, metrics = epoch(state)
        jax.block_until_ready((state, metrics))
        seconds["train"].append(time.perf_counter() - begun)
        for name, part in parts.items():
            own = jax.block_until_ready(copy(state))
            seconds[name].append(timed(lambda part=part, own=own: part(own)))  # type: ignore[misc]
    median = {name: statistics.median(values) for name, values in seconds.items()}
    relabels = 2 if awr.relabel == "twice" else 1
    phases = {name: median[name] * (relabels if name == "relabel" else 1) for name in PHASES}
    steps = loop.steps_per_iteration
    return {
        "num_envs": config.num_envs,
        "devices": config.devices,
        "rollout_steps": awr.rollout_steps,
        "physics_steps_per_second": steps / median["physics"],
        "train_steps_per_second": steps / median["train"],
        "ratio": statistics.median(p / t for p, t in zip(seconds["physics"], seconds["train"], strict=True)),
        "compile_seconds": compile_seconds,
        "phase_seconds": phases,
        "train_seconds": median["train"],
    }


def table(measured: list[dict[str, Any]]) -> Table:
    """A row for each number of environments."""
    names = ("envs", "physics steps/s", "train steps/s", "ratio", "compile s", *(f"{p} ms" for p in PHASES))
    made = Table(*names, title="env steps/s, and ms per phase of an iteration")
    for r in measured:
        rates = (f"{r['physics_steps_per_second']:,.0f}", f"{r['train_steps_per_second']:,.0f}", f"{r['ratio']:.1%}")
        phases = (f"{1e3 * r['phase_seconds'][p]:.1f}" for p in PHASES)
        made.add_row(str(r["num_envs"]), *rates, f"{r['compile_seconds']:.1f}", *phases)
    return made


def main(args: list[str]) -> int:
    """Measures and prints; writes JSON if asked."""
    prog = f"{program('benchmark')} loop"
    config = cli.parse(BenchmarkConfig, args, prog=prog, description=(__doc__ or "").strip())
    if config.out:
        files.check_writable(config.out, "name another file with --out")
    if not config.num_envs or min(config.num_envs) <= 0 or config.repeats <= 0:
        raise UserError("num_envs and repeats must be positive numbers")
    if config.samples < 0 or any(config.samples % count for count in config.num_envs):
        raise UserError(f"samples must be a multiple of every number of environments, not {config.samples}")
    registry.find(config.env)
    wanted = []
    for num_envs in config.num_envs:
        awr = preset(config.env, num_envs).awr  # as a training would have it
        if config.samples:
            awr = dataclasses.replace(preset(config.env).awr, rollout_steps=config.samples // num_envs)
        wanted.append(TrainConfig(env=config.env, num_envs=num_envs, devices=config.devices, awr=awr))
        wanted[-1].validate()
    lapack, devices = registry.calls_lapack(config.env, registry.TaskOptions()), config.devices or jax_setup.cores()
    jax_setup.start_jax(lapack, devices, reserve=True)
    env = registry.make(config.env)
    about = {"env": config.env, "device": jax.devices()[0].device_kind, "settings": dataclasses.asdict(wanted[0].awr)}
    measured = []
    with results.growing(WIDTH) as show:
        for one in wanted:
            measured.append(measure(env, one, config.repeats))
            if config.out:
                files.write_json(config.out, about | {"results": measured})
            show(table(measured))
    return 0
