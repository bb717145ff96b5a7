"""How JAX is set up for every program here: flags, cache, devices."""

import dataclasses
import os

import jax

from train.console.errors import UserError
from train.engine import surroundings
from train.engine.config import TrainConfig

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

    Raises:
      UserError: if JAX was used before, or the user has chosen a platform that is not there.
    """
    if lapack and cores() < FEW_CORES:
        os.environ.setdefault("PJRT_NPROC", "1")
    flags = os.environ.get("XLA_FLAGS", "")
    wanted = CPU_FLAGS | {"xla_force_host_platform_device_count": str(cpu_devices)}
    chosen = [f"--{name}={value}" for name, value in wanted.items() if name not in flags]
    surroundings.refuse_lost_flags(chosen)
    os.environ["XLA_FLAGS"] = " ".join([*flags.split(), *chosen])
    if jax.config.jax_default_matmul_precision is None:  # type: ignore[attr-defined]
        jax.config.update("jax_default_matmul_precision", "highest")
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", surroundings.cache_folder())
    surroundings.single_precision()
    surroundings.find_devices()


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
