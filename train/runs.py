"""A run on the disk: its folder, its policy, and how JAX is set up for every program here."""

import dataclasses
import json
import os
import pathlib
import sys
from typing import Any

import jax

from awr_mjx.learner import Learner, LearnerState
from envs import registry
from envs.base import Env
from train import checkpointing
from train import config as settings
from train.config import TrainConfig
from train.errors import UserError
from train.files import replacing

# For XLA on CPUs; accelerators do not notice them. The figures are in docs/decisions.md.
CPU_FLAGS = {
    # Batched physics has no matrix products that are worth splitting.
    "xla_cpu_multi_thread_eigen": "false",
    # Batched physics is made of thousands of small operations, for which YNN's kernels are far slower than plain code.
    "xla_cpu_experimental_ynn_fusion_type": "",
}


FEW_CORES = 8  # a program has been seen to hang on 2


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def start_jax(lapack: bool = True, cpu_devices: int = 1) -> None:
    """Sets JAX up for a program; must come before its first computation. CPUs show up as `cpu_devices` devices.

    Compiled programs are kept on the disk between processes, unless the user has chosen a place for them already.

    Matrix products are of full float32, unless the user has set `jax_default_matmul_precision`: by default GPUs since
    Ampere round their factors to TF32's 10 bits, which is too coarse for physics (docs/decisions.md).

    Where `lapack` may be called and cores are few, XLA gets one thread, unless the user has set `PJRT_NPROC`. On CPUs
    it splits a batch of factorisations among its threads and waits for the parts. When as many of them wait as there
    are threads, all wait for ever (docs/decisions.md). A lone thread does the parts itself.
    """
    if lapack and cores() < FEW_CORES:
        os.environ.setdefault("PJRT_NPROC", "1")
    flags = os.environ.get("XLA_FLAGS", "")
    wanted = CPU_FLAGS | {"xla_force_host_platform_device_count": str(cpu_devices)}
    chosen = [f"--{name}={value}" for name, value in wanted.items() if name not in flags]
    os.environ["XLA_FLAGS"] = " ".join([*flags.split(), *chosen])
    if jax.config.jax_default_matmul_precision is None:  # type: ignore[attr-defined]
        jax.config.update("jax_default_matmul_precision", "highest")
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "awr_mjx" / "jax"
        jax.config.update("jax_compilation_cache_dir", str(cache))


def choose_devices(config: TrainConfig) -> TrainConfig:
    """The settings with `devices` as a number that is here: all of them, or as many as divide the work evenly.

    Raises:
      UserError: if more are asked for than there are.
    """
    there = jax.device_count()
    if config.devices > there:
        raise UserError(
            f"devices is {config.devices}, but there are {there}: lower it; a resumed run needs as many as it had"
        )
    even = (n for n in range(there, 0, -1) if config.num_envs % n == 0 == config.awr.batch_size % n)
    return dataclasses.replace(config, devices=config.devices or next(even))


def write_json(path: pathlib.Path, values: dict[str, Any]) -> None:
    """Writes `values` whole or not at all.

    Raises:
      UserError: if the file cannot be written.
    """
    with replacing(path) as part:
        part.write_text(json.dumps(values, indent=1) + "\n")


@dataclasses.dataclass(frozen=True)
class Player:
    """A trained policy and its task: `learned` is what `learner` plays on `env`, after `env_steps` of training."""

    config: TrainConfig
    env: Env
    learner: Learner
    learned: LearnerState
    env_steps: int


def load_policy(run: pathlib.Path, step: int | None = None) -> Player:
    """The policy of the run in folder `run`, from its newest sound checkpoint or from checkpoint `step`.

    Raises:
      UserError: if there is no such run or checkpoint. Warnings about damaged checkpoints go to stderr.
    """
    config = settings.read(run)
    env = registry.make(config.env, config.task)
    learner = Learner(config.awr, env.observation_size, env.action_size, env.discrete)
    template = jax.eval_shape(learner.init, jax.random.key(0))
    found, learned, warnings = checkpointing.restore_learner(run, template, step)
    warn(warnings)
    return Player(config, env, learner, learned, found)


def warn(warnings: list[str]) -> None:
    """Shows warnings on stderr, a line each."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
