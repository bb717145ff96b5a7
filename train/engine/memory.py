"""Does it fit? The memory plan, printed before anything is compiled."""

import dataclasses
from typing import Any

import jax
import psutil

from train.console.errors import UserError
from train.engine.loop import TrainState


def size_of(tree: Any) -> int:
    """Bytes of all arrays, or abstract arrays, in a tree of leaves of any shape [...]."""
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


def human(size: float) -> str:
    """'12.3 MB' for a size in bytes."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def available() -> int:
    """Bytes of memory free on the accelerator, or on the host where that is the CPU."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != "cpu" else None
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"]) - int(stats.get("bytes_in_use", 0))
    return int(psutil.virtual_memory().available)


@dataclasses.dataclass(frozen=True)
class MemoryPlan:
    """Sizes in bytes of what a run keeps on the device."""

    ring: int
    environments: int
    learner: int
    snapshot: int
    free: int

    @property
    def needed(self) -> int:
        """What is needed at least; the physics' own workspace is known only after compiling."""
        return self.ring + self.environments + self.learner + self.snapshot

    def __str__(self) -> str:
        return (
            f"ring {human(self.ring)}, environments {human(self.environments)}, networks and optimisers "
            f"{human(self.learner)}, copy while saving {human(self.snapshot)}: {human(self.needed)} of "
            f"{human(self.free)} free"
        )


def plan(state: TrainState, checkpoint_ring: bool) -> MemoryPlan:
    """The plan for an (abstract) training state.

    Raises:
      UserError: if it cannot fit, with what to lower.
    """
    ring, environments, learner = size_of(state.ring), size_of(state.env), size_of(state.learner)
    snapshot = environments + learner + (ring if checkpoint_ring else 0)
    found = MemoryPlan(ring, environments, learner, snapshot, available())
    refuse(found.needed, found.free)
    return found


def refuse(needed: int, free: int) -> None:
    """Raises UserError with advice if `needed` bytes do not fit into `free`."""
    if needed > free:
        raise UserError(
            f"this run needs {human(needed)} of memory and {human(free)} are free: lower --num_envs, --buffer_blocks "
            "or --rollout_steps, or set --checkpoint_ring false"
        )
