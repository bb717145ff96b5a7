"""The way back from a run's checkpoints: read, and checked leaf by leaf."""

import contextlib
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from train.console.errors import UserError
from train.engine.checkpoint_format import (
    FORMAT,
    checksum,
    described,
    folder,
    items_of,
    quiet,
    reason,
    state_of,
    storable,
)
from train.engine.loop import TrainState


class Damaged(Exception):
    """A checkpoint that cannot be read, or whose arrays are not those that were saved."""


class Mismatch(UserError):
    """A sound checkpoint of another task or network size."""


def steps(run: pathlib.Path) -> list[int]:
    """The env steps of the finished checkpoints in `run`, oldest first."""
    place = folder(run)
    return sorted(int(p.name) for p in place.iterdir() if p.is_dir() and p.name.isdigit()) if place.is_dir() else []


def mode_returns(run: pathlib.Path) -> dict[int, float]:
    """Mode returns by env steps, of the readable checkpoints in `run` that were evaluated."""
    found = {}
    for step in steps(run):
        with contextlib.suppress(Damaged):
            found[step] = _meta(run, step).get("mode_return")
    return {step: value for step, value in found.items() if value is not None}


def _meta(run: pathlib.Path, step: int) -> dict[str, Any]:
    try:
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
            return reader.restore(folder(run) / str(step) / "meta")
    except Exception as error:
        raise Damaged(reason(error)) from error


def _restore(run: pathlib.Path, step: int, want: dict[str, Any]) -> dict[str, Any]:
    """The items of `want` (abstract trees) from one checkpoint, checked leaf by leaf."""
    meta = _meta(run, step)
    if meta.get("format") != FORMAT:
        raise Mismatch(f"the checkpoint {folder(run) / str(step)} is of another version of this program")
    saved = {name: kind for name, kind in meta["leaves"].items() if any(name.startswith(f"['{w}']") for w in want)}
    wanted = {name: kind for name, (kind, _) in described(want).items()}
    for name in [*wanted, *saved]:
        there, asked = saved.get(name), wanted.get(name)
        if there is None or asked is None or there[:2] != asked:
            show = lambda kind: "missing" if kind is None else f"{kind[0]}{kind[1]}"  # noqa: E731
            raise Mismatch(
                f"the checkpoint {folder(run) / str(step)} is of another task or network size: "
                f"{name} is {show(there)} there and {show(asked)} here"
            )
    # Arrays go where the template has them, not to the device that saved them, which may not exist here.
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    want = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or here), want)
    try:
        got = {}
        for name, tree in want.items():
            with ocp.StandardCheckpointer() as reader:
                stored = reader.restore(folder(run) / str(step) / name, storable(tree))
            got[name] = jax.tree.map(lambda x, y: jnp.zeros(x.shape, x.dtype) if x.size == 0 else y, tree, stored)
    except Exception as error:
        raise Damaged(reason(error)) from error
    for name, (_, leaf) in described(got).items():
        if checksum(leaf) != saved[name][2]:
            raise Damaged(f"{name} is not what was saved")
    return got


def _newest_sound(run: pathlib.Path, want: dict[str, Any], step: int | None) -> tuple[int, dict[str, Any], list[str]]:
    """Step, items and warnings of the newest checkpoint that is whole, or of `step` alone if it is given."""
    quiet()
    candidates = steps(run)
    if not candidates:
        raise UserError(f"{run} has no checkpoint yet: train anew in another --run_dir")
    if step is not None:
        if step not in candidates:
            raise UserError(f"{run} has no checkpoint {step}; it has {', '.join(map(str, candidates))}")
        candidates = [step]
    warnings: list[str] = []
    for candidate in reversed(candidates):
        try:
            return candidate, _restore(run, candidate, want), warnings
        except Damaged as damage:
            warnings.append(f"checkpoint {candidate} is damaged ({damage})")
    raise UserError(f"no sound checkpoint in {run}: " + "; ".join(warnings))


def _has_ring(run: pathlib.Path) -> bool:
    """Whether the newest readable checkpoint of the run holds the ring."""
    return any((folder(run) / str(step) / "ring").is_dir() for step in steps(run)[-1:])


def restore(run: pathlib.Path, template: TrainState) -> tuple[int, TrainState, list[str]]:
    """The newest sound state of a run.

    Args:
      run: the run folder.
      template: the (abstract) state that the run's settings ask for.

    Returns:
      Its env steps, the state, and warnings to show. If the checkpoint was saved without its ring, the ring is empty.

    Raises:
      UserError: if there is no checkpoint, none is sound, or it is of another task or network size.
    """
    want = items_of(template)
    if not _has_ring(run):
        del want["ring"]
    step, items, warnings = _newest_sound(run, want, None)
    if "ring" not in items:
        items["ring"] = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype, device=x.sharding), template.ring)
        warnings.append("the checkpoint was saved without its replay ring, so this resume is not exact")
    return step, state_of(items), warnings


def restore_learner(run: pathlib.Path, template: Any, step: int | None = None) -> tuple[int, Any, list[str]]:
    """What was learned, from the newest sound checkpoint or from `step`: env steps, `LearnerState`, warnings."""
    found, items, warnings = _newest_sound(run, {"learner": template}, step)
    return found, items["learner"], warnings
