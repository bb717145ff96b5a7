"""Saving a run: Orbax, asynchronous, never the end of a training."""

import itertools
import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from awr_mjx.train.engine.checkpoint_format import (
    FORMAT,
    checksum,
    described,
    folder,
    items_of,
    quiet,
    reason,
    storable,
)
from awr_mjx.train.engine.loop import TrainState
from awr_mjx.train.engine.memory import human
from awr_mjx.train.engine.restoring import mode_returns, steps


@jax.jit
def _copied(tree: Any) -> Any:
    """A save's own arrays: training goes on with the donated ones. One program for all runs that are saved."""
    return jax.tree.map(jnp.copy, tree)


class _Best:
    """An Orbax `PreservationPolicy`: keeps the best checkpoint of `saves`, and the one whose return is awaited.

    Orbax's own `BestN` knows only the returns that were saved by the same process, so a resumed run lost its best.
    """

    def __init__(self, saves: "Checkpoints") -> None:
        self._saves = saves

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        returns = self._saves.returns
        there = [info.step for info in checkpoints if info.step in returns]
        kept = max(there, key=returns.__getitem__, default=None), self._saves.awaited
        return [info.step in kept for info in checkpoints]


class Checkpoints:
    """The checkpoints of one run, for the process that trains it.

    Attributes:
      returns: mode returns by steps, of all that were evaluated; which of them is best is looked at in every save.
      awaited: steps of the checkpoint that is being evaluated meanwhile, if any.
    """

    def __init__(self, run: pathlib.Path, keep: int, with_ring: bool, clock: str = "env_steps") -> None:
        """Keeps the newest `keep` checkpoints and the best one in `run`/checkpoints; `clock` counts their steps."""
        quiet()
        self.run, self.with_ring, self.clock = run, with_ring, clock
        self.returns = mode_returns(run)
        self.awaited: int | None = None
        keeps = [policies.LatestN(keep), _Best(self)]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(keeps), cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(folder(run), options=options)

    def set_aside_after(self, steps_done: int) -> None:
        """Renames checkpoints newer than `steps_done`: damaged ones, or the run would not have resumed before them."""
        for step in steps(self.run):
            if step > steps_done:
                place = folder(self.run) / str(step)
                names = itertools.chain([f"damaged-{step}"], (f"damaged-{step}-{i}" for i in itertools.count(2)))
                place.rename(next(new for name in names if not (new := place.with_name(name)).exists()))
                self.returns.pop(step, None)
        self._manager.reload()

    def save(self, state: TrainState, step: int) -> str | None:
        """Starts saving `state`; returns what went wrong, if anything did (an earlier save's failure included)."""
        problem = self.wait()
        if problem:
            self._sweep()
        items = items_of(state)
        empty = step == 0 and not getattr(state.ring, "kept", 0)  # at the start, but for what it began with
        if not self.with_ring or empty:
            items.pop("ring", None)
        items = _copied(items)
        meta: dict[str, Any] = {"format": FORMAT, self.clock: step}
        meta["leaves"] = {name: [*kind, checksum(leaf)] for name, (kind, leaf) in described(items).items()}
        arrays = {name: ocp.args.StandardSave(storable(item)) for name, item in items.items()}
        try:
            self._manager.save(step, args=ocp.args.Composite(meta=ocp.args.JsonSave(meta), **arrays), force=True)
        except Exception as error:  # whatever the file system or Orbax makes of it, training must go on
            problem = problem or reason(error)
            self._sweep()
        return problem

    def _sweep(self) -> None:
        """Removes what a failed save left, which may be what fills the disk."""
        for part in folder(self.run).glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(part, ignore_errors=True)

    def wait(self) -> str | None:
        """Waits until the save under way is on the disk; returns what went wrong, if anything did."""
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            return reason(error)
        return None

    def size(self) -> str:
        """The size of the newest checkpoint on the disk, for people."""
        step = self._manager.latest_step()
        if step is None:
            return "nothing"
        return human(sum(p.stat().st_size for p in (folder(self.run) / str(step)).rglob("*") if p.is_file()))

    def close(self) -> None:
        """Lets go of the folder."""
        self._manager.close()
