"""Saving and restoring a run: Orbax, asynchronous, checked on the way back in.

A checkpoint `RUN/checkpoints/<env steps>/` has four items: `learner` (all that playing the policy needs), `ring`,
`rest` (environments, random key, counters) and `meta` (JSON: shapes and checksums of every array). No item is a pickle,
so a file from elsewhere cannot run code.
"""

import contextlib
import logging
import pathlib
import shutil
import sys
import zlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers as policies

from train.console.errors import UserError
from train.engine.loop import TrainState
from train.engine.memory import human

ARRAYS = ("learner", "ring", "rest")
FORMAT = 4


class Damaged(Exception):
    """A checkpoint that cannot be read, or whose arrays are not those that were saved."""


class Mismatch(UserError):
    """A sound checkpoint of another task or network size."""


def quiet() -> None:
    """Orbax logs its progress, and every task of a failed save; a user wants one line, which we print ourselves."""
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _hook


def _hook(unraisable: "sys.UnraisableHookArgs") -> None:
    """Python's own report of errors in callbacks, but not of writes that end after their save has failed."""
    error = unraisable.exc_value
    if sys and not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):  # sys: None at exit
        sys.__unraisablehook__(unraisable)


def folder(run: pathlib.Path) -> pathlib.Path:
    """Where the checkpoints of a run lie."""
    return run.resolve() / "checkpoints"


def _items(state: TrainState) -> dict[str, Any]:
    return {
        "learner": state.learner,
        "ring": state.ring,
        "rest": {"env": state.env, "key": state.key, "counts": state.counts},
    }


def _state(items: dict[str, Any]) -> TrainState:
    return TrainState(learner=items["learner"], ring=items["ring"], **items["rest"])


def _described(items: dict[str, Any]) -> dict[str, tuple[list[Any], Any]]:
    """'learner.policy...' -> ([dtype, shape], leaf) for every leaf of some items."""
    leaves = jax.tree_util.tree_flatten_with_path(items)[0]
    return {jax.tree_util.keystr(path): ([str(x.dtype), list(x.shape)], x) for path, x in leaves}


def _storable(tree: Any) -> Any:
    """`tree` with a stand-in for every array without elements, such as Brax's states have: Orbax refuses those."""
    return jax.tree.map(lambda x: _like(x, (1,)) if x.size == 0 else x, tree)


def _like(leaf: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of another shape, or the description of such an array if `leaf` is one."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(shape, leaf.dtype, sharding=leaf.sharding)
    return jnp.zeros(shape, leaf.dtype)


def _checksum(leaf: jax.Array) -> int:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    return zlib.crc32(np.ascontiguousarray(np.asarray(leaf)).data)


class _Best:
    """An Orbax `PreservationPolicy`: keeps the checkpoint with the highest of `returns`, mode returns by env steps.

    Orbax's own `BestN` knows only the returns that were saved by the same process, so a resumed run lost its best.
    """

    def __init__(self, returns: dict[int, float]) -> None:
        self._returns = returns

    def should_preserve(self, checkpoints: Any, *, context: Any) -> list[bool]:
        there = [info.step for info in checkpoints if info.step in self._returns]
        best = max(there, key=self._returns.__getitem__, default=None)
        return [info.step == best for info in checkpoints]


class Checkpoints:
    """The checkpoints of one run, for the process that trains it.

    Attributes:
      returns: mode returns by env steps, of all that were evaluated.
    """

    def __init__(self, run: pathlib.Path, keep: int, with_ring: bool) -> None:
        """Keeps the newest `keep` checkpoints and the best one in `run`/checkpoints."""
        quiet()
        self.run, self.with_ring = run, with_ring
        self.returns = mode_returns(run)
        keeps = [policies.LatestN(keep), _Best(self.returns)]
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(keeps), cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(folder(run), options=options)
        # Training goes on with the donated state while the save is under way, so the save needs a copy of its own.
        self._copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))

    def set_aside_after(self, env_steps: int) -> None:
        """Renames checkpoints newer than `env_steps`: damaged ones, or the run would not have resumed before them."""
        for step in steps(self.run):
            if step > env_steps:
                place = folder(self.run) / str(step)
                place.rename(place.with_name(f"damaged-{step}"))
                self.returns.pop(step, None)
        self._manager.reload()

    def save(self, state: TrainState, env_steps: int, mode_return: float | None = None) -> str | None:
        """Starts saving `state`; returns what went wrong, if anything did (an earlier save's failure included)."""
        problem = self.wait()
        if problem:
            self._sweep()
        items = _items(state)
        if not self.with_ring:
            del items["ring"]
        items = self._copy(items)
        meta: dict[str, Any] = {"format": FORMAT, "env_steps": env_steps, "mode_return": mode_return}
        meta["leaves"] = {name: [*kind, _checksum(leaf)] for name, (kind, leaf) in _described(items).items()}
        arrays = {name: ocp.args.StandardSave(_storable(item)) for name, item in items.items()}
        if mode_return is not None:
            self.returns[env_steps] = mode_return
        try:
            self._manager.save(env_steps, args=ocp.args.Composite(meta=ocp.args.JsonSave(meta), **arrays), force=True)
        except Exception as error:  # whatever the file system or Orbax makes of it, training must go on
            problem = problem or _reason(error)
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
            return _reason(error)
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


def _reason(error: BaseException) -> str:
    """One line on why a save failed; the operating system's own words where there are any."""
    text = " ".join(str(error).split())
    for words in ("No space left on device", "File too large", "Permission denied", "Read-only file system"):
        if words in text:
            return words
    return f"{type(error).__name__}: {text[:200]}"


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
        raise Damaged(_reason(error)) from error


def _restore(run: pathlib.Path, step: int, want: dict[str, Any]) -> dict[str, Any]:
    """The items of `want` (abstract trees) from one checkpoint, checked leaf by leaf."""
    meta = _meta(run, step)
    if meta.get("format") != FORMAT:
        raise Mismatch(f"the checkpoint {folder(run) / str(step)} is of another version of this program")
    saved = {name: kind for name, kind in meta["leaves"].items() if any(name.startswith(f"['{w}']") for w in want)}
    wanted = {name: kind for name, (kind, _) in _described(want).items()}
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
                stored = reader.restore(folder(run) / str(step) / name, _storable(tree))
            got[name] = jax.tree.map(lambda x, y: jnp.zeros(x.shape, x.dtype) if x.size == 0 else y, tree, stored)
    except Exception as error:
        raise Damaged(_reason(error)) from error
    for name, (_, leaf) in _described(got).items():
        if _checksum(leaf) != saved[name][2]:
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
    want = _items(template)
    if not _has_ring(run):
        del want["ring"]
    step, items, warnings = _newest_sound(run, want, None)
    if "ring" not in items:
        items["ring"] = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype, device=x.sharding), template.ring)
        warnings.append("the checkpoint was saved without its replay ring, so this resume is not exact")
    return step, _state(items), warnings


def restore_learner(run: pathlib.Path, template: Any, step: int | None = None) -> tuple[int, Any, list[str]]:
    """What was learned, from the newest sound checkpoint or from `step`: env steps, `LearnerState`, warnings."""
    found, items, warnings = _newest_sound(run, {"learner": template}, step)
    return found, items["learner"], warnings
