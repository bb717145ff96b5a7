"""Does it fit? The memory plan, printed before anything is compiled."""

import dataclasses
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import psutil

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import reading
from awr_mjx.train.engine import container
from awr_mjx.train.engine.loop import TrainState


def held(tree: Any) -> int:
    """Bytes that each device holds of a tree of (abstract) arrays: its share, or all of what is not shared out."""
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def human(size: float) -> str:
    """'12.3 MB' for a size in bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def host_memory() -> int:
    """Bytes of memory free on the host, and in this process's container if it is in one."""
    there = int(psutil.virtual_memory().available)
    limit = container.free_memory()
    return there if limit is None else min(there, limit)


def available(device: jax.Device) -> int:
    """Bytes of memory free on an accelerator, or on the host where `device` is a CPU."""
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    return host_memory()


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """Sizes in bytes of what a run keeps in one memory: an accelerator's, or that of the host for all of its devices.

    Attributes:
      devices: how many devices the run has.
      together: how many of them share that memory.
      instead: what to do where it does not fit.
    """

    ring: int
    environments: int
    learner: int
    snapshot: int
    free: int
    devices: int
    together: int
    instead: str = "lower --num_envs, --buffer_blocks or --rollout_steps, or set --checkpoint_ring false"

    @property
    def needed(self) -> int:
        """What is needed at least; the physics' own workspace is known only after compiling."""
        return self.ring + self.environments + self.learner + self.snapshot

    def in_all(self, size: int) -> int:
        """Bytes in one memory of what takes `size` bytes on each device, such as a program's workspace."""
        return size * self.together

    def refuse(self, workspace: int = 0) -> None:
        """Raises UserError with advice if the plan and `workspace` bytes more do not fit."""
        needed = self.needed + workspace
        if needed > self.free:
            raise UserError(
                f"this run needs {human(needed)} of memory and {human(self.free)} are free{self._where}: {self.instead}"
            )

    @property
    def _where(self) -> str:
        return f" on each of {self.devices} devices" if self.together < self.devices else ""

    def __str__(self) -> str:
        return (
            f"{human(self.needed)} of {human(self.free)} free{self._where}: ring {human(self.ring)}, "
            f"state {human(self.environments + self.learner)}, saving {human(self.snapshot)}"
        )


STATIC = "take less of the data with --take, or --top"


def refuse_large(sources: Sequence[str]) -> None:
    """Raises UserError if logged data, named by files or folders, cannot be read because of their size."""
    sizes = [_on_disk(pathlib.Path(reading.whole_path(source))) for source in sources]
    if sum(sizes) > host_memory():
        raise UserError(
            f"{' and '.join(sources)}: {human(sum(sizes))} on the disk, and {human(host_memory())} of memory are free: "
            "write less of it to another file where there is more memory (awr-mjx data convert SET --take N --out LESS)"
        )


def _on_disk(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())


def plan(
    state: TrainState, checkpoint_ring: bool, devices: Sequence[jax.Device], static: bool = False, many: bool = False
) -> MemoryPlan:
    """The plan for an (abstract) training state that lies on `devices`; with `static` data for its ring.

    It may be that of `many` trainings.

    Raises:
      UserError: if it cannot fit, with what to lower.
    """
    together = len(devices) if devices[0].platform == "cpu" else 1
    ring, environments, learner = (held(part) * together for part in (state.ring, state.env, state.learner))
    snapshot = environments + learner + (ring if checkpoint_ring and not static else 0)
    free = min(available(device) for device in devices)
    found = MemoryPlan(ring, environments, learner, snapshot, free, len(devices), together)
    if static:
        found = dataclasses.replace(found, instead=STATIC)
    if many:
        found = dataclasses.replace(found, instead=f"train fewer seeds at once, or {found.instead}")
    found.refuse()
    return found
