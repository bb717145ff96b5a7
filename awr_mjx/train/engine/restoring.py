"""The way back from a run's checkpoints: read, and checked leaf by leaf."""

import contextlib
import pathlib
from typing import Any, Literal

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from awr_mjx.train.console.commands import command
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import metrics_log
from awr_mjx.train.engine.checkpoint_format import (
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
from awr_mjx.train.engine.loop import TrainState

# A checkpoint: by its steps, the one of the highest mode return, or the newest sound one.
Step = int | Literal["best"] | None


class Damaged(Exception):
    """A checkpoint that cannot be read, or whose arrays are not those that were saved."""


class Mismatch(UserError):
    """A sound checkpoint of another task or network size."""


def steps(run: pathlib.Path) -> list[int]:
    """The env steps of the finished checkpoints in `run`, oldest first."""
    place = folder(run)
    return sorted(int(p.name) for p in place.iterdir() if p.is_dir() and p.name.isdigit()) if place.is_dir() else []


def mode_returns(run: pathlib.Path) -> dict[int, float]:
    """Mode returns by env steps, of the readable checkpoints in `run` that were evaluated.

    Those of episodes that the task has cut short by breaking are no measure, and left out.
    """
    found = {}
    for step in steps(run):
        with contextlib.suppress(Damaged):
            found[step] = _meta(run, step).get("mode_return")
    for values in metrics_log.lines(run):  # an evaluation comes after the save; once it came before, and was saved
        step = int(metrics_log.step_of(values))
        if "mode_return" in values and "mode_broken" not in values and step in found and found[step] is None:
            found[step] = values["mode_return"]
    return {step: value for step, value in found.items() if value is not None}


def _meta(run: pathlib.Path, step: int) -> dict[str, Any]:
    try:
        with ocp.Checkpointer(ocp.JsonCheckpointHandler()) as reader:
            meta = reader.restore(folder(run) / str(step) / "meta")
    except Exception as error:
        raise Damaged(reason(error)) from error
    if not isinstance(meta, dict) or not isinstance(meta.get("leaves"), dict):
        raise Damaged("its meta does not say what it holds")
    return meta


def _restore(run: pathlib.Path, step: int, want: dict[str, Any]) -> dict[str, Any]:
    """The items of `want` (abstract trees) from one checkpoint, checked leaf by leaf; without a ring if it has none."""
    place, meta = folder(run) / str(step), _meta(run, step)
    if meta.get("format") != FORMAT:
        raise Mismatch(f"the checkpoint {place} is of another version of this program")
    if not any(name.startswith("['ring']") for name in meta["leaves"]):
        want = {name: tree for name, tree in want.items() if name != "ring"}
    saved = {name: kind for name, kind in meta["leaves"].items() if any(name.startswith(f"['{w}']") for w in want)}
    wanted = {name: kind for name, (kind, _) in described(want).items()}
    for name in [*wanted, *saved]:
        there, asked = saved.get(name), wanted.get(name)
        if there is None or asked is None or there[:2] != asked:
            if there and asked and there[0].startswith("key<"):
                raise Mismatch(
                    f"the checkpoint {place} has random keys of the kind {there[0]}, not {asked[0]}: set "
                    "JAX_DEFAULT_PRNG_IMPL as it was"
                )
            show = lambda kind: "missing" if kind is None else f"{kind[0]}{kind[1]}"  # noqa: E731
            raise Mismatch(
                f"the checkpoint {place} is of another task or network size: "
                f"{name} is {show(there)} there and {show(asked)} here"
            )
    # Arrays go where the template has them, not to the device that saved them, which may not exist here.
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    want = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding or here), want)
    try:
        got = {}
        for name, tree in want.items():
            with ocp.StandardCheckpointer() as reader:
                stored = reader.restore(place / name, storable(tree))
            got[name] = jax.tree.map(lambda x, y: _zeros(x) if x.size == 0 else y, tree, stored)
    except Exception as error:
        raise Damaged(reason(error)) from error
    for name, (_, leaf) in described(got).items():
        if checksum(leaf) != saved[name][2]:
            raise Damaged(f"{name} is not what was saved")
    return got


def _zeros(described: Any) -> jax.Array:
    return jnp.zeros(described.shape, described.dtype, device=described.sharding)


def _sound(run: pathlib.Path, want: dict[str, Any], step: Step) -> tuple[int, dict[str, Any], list[str]]:
    """Step, items and warnings of the newest checkpoint that is whole, of the best such, or of `step` alone.

    A training may save and remove checkpoints meanwhile, so they are listed anew after each that cannot be read; what
    is older than the one that is found then was removed, not damaged.
    """
    quiet()
    damaged: dict[int, str] = {}
    while True:
        there = steps(run)
        if not there:
            raise UserError(f"{run} has no checkpoint yet: {command('train', '--resume', run)} trains it")
        if isinstance(step, int) and step not in there:
            raise UserError(f"{run} has no checkpoint {step}; it has {', '.join(map(str, there))}")
        left = [one for one in _last_first(run, there, step) if one not in damaged]
        if not left:
            raise UserError(f"no sound checkpoint in {run}: " + "; ".join(damaged.values()))
        try:
            items = _restore(run, left[-1], want)
        except Damaged as damage:
            damaged[left[-1]] = f"checkpoint {left[-1]} is damaged ({damage})"
        else:
            return left[-1], items, [words for one, words in damaged.items() if step == "best" or one > left[-1]]


def _last_first(run: pathlib.Path, there: list[int], step: Step) -> list[int]:
    """Those of the checkpoints `there` that are meant by `step`, what is to be tried first at the end."""
    if step != "best":
        return there if step is None else [step]
    known = mode_returns(run)
    if not known:
        raise UserError(f"none of the checkpoints of {run} was evaluated, so none is the best: leave --step best out")
    return sorted(known, key=known.__getitem__)


def restore(run: pathlib.Path, template: TrainState, step: Step = None) -> tuple[int, TrainState, list[str]]:
    """The newest sound state of a run, or that of checkpoint `step`, which may be "best".

    Args:
      run: the run folder.
      template: the (abstract) state that the run's settings ask for.
      step: the checkpoint, if it is not to be the newest sound one.

    Returns:
      Its env steps, the state, and warnings to show. If the checkpoint was saved without its ring, the ring is empty.

    Raises:
      UserError: if there is no checkpoint, none is sound, or it is of another task or network size.
    """
    found, items, warnings = _sound(run, items_of(template), step)
    if "ring" not in items and template.ring is not None:
        items["ring"] = jax.tree.map(_zeros, template.ring)
        if found > 0 or template.ring.kept:  # else it was empty, at the start
            warnings.append("the checkpoint was saved without its replay ring, so this resume is not exact")
    return found, state_of(items), warnings


def restore_learner(run: pathlib.Path, template: Any, step: Step = None) -> tuple[int, Any, list[str]]:
    """What was learned, from the newest sound checkpoint, "best" or `step`: env steps, `LearnerState`, warnings."""
    found, items, warnings = _sound(run, {"learner": template}, step)
    return found, items["learner"], warnings
