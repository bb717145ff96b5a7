"""How JAX is set up for every program here: flags, cache, devices."""

import dataclasses
import os
import re

import jax

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import container, surroundings
from awr_mjx.train.engine.config import TrainConfig

# For XLA on CPUs; accelerators do not notice them. The figures are in docs/decisions.md.
CPU_FLAGS = {
    # Batched physics has no matrix products that are worth splitting.
    "xla_cpu_multi_thread_eigen": "false",
    # Batched physics is made of thousands of small operations, for which YNN's kernels are far slower than plain code.
    "xla_cpu_experimental_ynn_fusion_type": "",
}


FEW_THREADS = 8  # for each device; a program has been seen to hang on 2
LEAST_ENVS, LEAST_ROWS = 32, 64  # of the environments and of a minibatch, for each device (docs/decisions.md)


def cores() -> int:
    """CPU cores that this process may use, as its affinity and its container say."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, container.cores() or there)


def start_jax(lapack: bool = True, cpu_devices: int = 1, reserve: bool = False) -> None:
    """Sets JAX up for a program; must come before its first computation. CPUs show up as `cpu_devices` devices.

    Compiled programs are kept on the disk between processes, unless the user has chosen a place for them already.

    Matrix products are of full float32, unless the user has set `jax_default_matmul_precision`: by default GPUs since
    Ampere round their factors to TF32's 10 bits, which is too coarse for physics (docs/decisions.md).

    Where `lapack` may be called and there are few cores for each device, XLA gets one thread, unless the user has set
    `PJRT_NPROC`. On CPUs it splits a batch of factorisations among its threads, which all devices share, and waits for
    the parts. When as many of them wait as there are threads, all wait for ever (docs/decisions.md). A lone thread does
    the parts itself.

    Trainings `reserve` most of an accelerator's memory at once. Other programs take what they need, so that they can
    run beside a training; `XLA_PYTHON_CLIENT_PREALLOCATE` chooses otherwise.

    Raises:
      UserError: if JAX was used before, or the user has chosen a platform that is not there.
    """
    if not reserve:
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    flags = os.environ.get("XLA_FLAGS", "")
    chosen_devices = re.findall(r"xla_force_host_platform_device_count=(\d+)", flags)
    devices = int(chosen_devices[-1]) if chosen_devices else cpu_devices
    wanted = CPU_FLAGS | {"xla_force_host_platform_device_count": str(cpu_devices)}
    chosen = [f"--{name}={value}" for name, value in wanted.items() if name not in flags]
    surroundings.refuse_lost_flags(chosen)
    if lapack and cores() < FEW_THREADS * devices:
        surroundings.refuse_threads()
        os.environ.setdefault("PJRT_NPROC", "1")
    os.environ["XLA_FLAGS"] = " ".join([*flags.split(), *chosen])
    if jax.config.jax_default_matmul_precision is None:  # type: ignore[attr-defined]
        jax.config.update("jax_default_matmul_precision", "highest")
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        jax.config.update("jax_compilation_cache_dir", surroundings.cache_folder())
    surroundings.single_precision()
    surroundings.find_devices()


def fitting_devices(num_envs: int, batch_size: int, there: int) -> int:
    """The most of `there` devices over which the work can be shared out evenly, none with less than a least share."""

    def fits(devices: int) -> bool:
        shares = (num_envs, LEAST_ENVS), (batch_size, LEAST_ROWS)
        return all(whole % devices == 0 and whole // devices >= least for whole, least in shares)

    return max(filter(fits, range(2, there + 1)), default=1)


def dividing(trainings: int, there: int) -> int:
    """The most of `there` devices over which that many trainings can be shared out evenly."""
    return max(devices for devices in range(1, max(there, 1) + 1) if trainings % devices == 0)


def choose_devices(config: TrainConfig, resumed: bool = False) -> TrainConfig:
    """The settings with `devices` as a number that is here: as many as fit (`fitting_devices`), if none was asked for.

    Raises:
      UserError: if more are asked for than there are, or than a run that is `resumed` was begun on.
    """
    there, wanted = jax.device_count(), config.devices
    if wanted > there and resumed:
        cpu = jax.devices()[0].platform == "cpu"
        how = f"XLA_FLAGS=--xla_force_host_platform_device_count={wanted}" if cpu else "JAX_PLATFORMS=cpu"
        raise UserError(
            f"this run was begun on {wanted} devices and needs {wanted}, but there {'is' if there == 1 else 'are'} "
            f"{there}: {how} in the environment makes {wanted} of the CPU"
        )
    if wanted > there:
        raise UserError(f"devices is {wanted}, but there {'is' if there == 1 else 'are'} {there}: lower it")
    devices = wanted or fitting_devices(config.num_envs, config.awr.batch_size, there)
    return dataclasses.replace(config, devices=devices)
