"""Minari's data sets: written by Minari, whole or not at all."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.datasets.minari_format import ID, LOG_PROB, ROOT, package, root

EPISODE = 16_384  # bytes of HDF5 around the arrays of an episode, and more than that


def write(found: DataSet, name: str) -> pathlib.Path:
    """Writes the set under Minari's root as `name`, such as hopper/mixture-v0, and returns its folder.

    Raises:
      UserError: as `check_place`, or if the disk is full.
    """
    check_place(name)
    import gymnasium
    import minari

    place = root() / name
    bounds = found.action_bounds
    if found.discrete:
        action_space: Any = gymnasium.spaces.Discrete(found.action_size)
    else:
        low, high = bounds if bounds is not None else np.full((2, found.action_size), [[-np.inf], [np.inf]], np.float32)
        action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
    infos = found.log_probs
    buffers = []
    for i, (start, steps) in enumerate(zip(found.starts.tolist(), found.steps.tolist(), strict=True)):
        rows, states = slice(start, start + steps), slice(start + i, start + i + steps + 1)
        ends = np.zeros((2, steps), bool)
        ends[:, -1] = found.terminated[i], found.truncated[i]
        info = {} if infos is None else {"infos": {LOG_PROB: np.append(infos[rows], np.float32(0))}}
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                id=i,
                observations=found.observations[states],
                actions=found.actions[rows],
                rewards=found.rewards[rows],
                terminations=ends[0],
                truncations=ends[1],
                **info,
            )
        )
    size = found.observation_size
    with _folder() as part:  # whole, or not there
        _refuse_full(pathlib.Path(part), found)
        try:
            with warnings.catch_warnings(), _root_at(part):
                warnings.simplefilter("ignore")  # that no author and no environment are named
                minari.create_dataset_from_buffers(
                    name,
                    buffers,
                    observation_space=gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32),
                    action_space=action_space,
                    data_format="hdf5",
                    description=json.dumps(found.about),
                    **{k: v for k, v in found.about.items() if k in ("ref_min_score", "ref_max_score")},
                )
        except (ValueError, OSError, RuntimeError) as error:
            raise UserError(f"Minari cannot write {name!r}: {' '.join(str(error).split())}") from error
        try:
            _settle(pathlib.Path(part), name)
        except OSError as error:
            raise UserError(f"{place} cannot be written: {error.strerror}") from error
    return place


def check_place(name: str) -> None:
    """Makes sure, before long work, that a set can be written as `name`.

    Raises:
      UserError: if Minari is not installed, the name is no id, there is such a set, or nothing can be written there.
    """
    if not ID.fullmatch(name) or name.find("/") == 1:
        raise UserError(
            f"{name} is no id of a Minari set, which is (NAMESPACE/)NAME-vNUMBER in letters, digits, - and _, such as "
            "hopper/mixture-v0"
        )
    package("minari")
    package("h5py")
    if (root() / name).exists():
        raise UserError(f"{root() / name} exists already: choose another --out, or remove it")
    with _folder():
        pass


@contextlib.contextmanager
def _folder() -> Iterator[str]:
    """A folder for a while below Minari's root.

    Raises:
      UserError: if none can be made.
    """
    try:
        root().mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=root(), prefix=".part-", ignore_cleanup_errors=True)
    except OSError as error:
        raise UserError(f"cannot write in {root()}: {error.strerror} (set {ROOT} to another folder)") from error
    with folder as part:
        yield part


def _refuse_full(place: pathlib.Path, found: DataSet) -> None:
    """Raises UserError if the disk of folder `place` has no room for the set: HDF5 can crash where one is full."""
    arrays = (found.observations, found.actions, found.rewards, found.log_probs)
    size = sum(array.nbytes for array in arrays if array is not None) + 2 * len(found.rewards)
    size += EPISODE * (len(found.steps) + 16)
    free = shutil.disk_usage(place).free
    if free < size:
        raise UserError(
            f"cannot write in {root()}: the set needs {size / 1e6:,.1f} MB, and {free / 1e6:,.1f} MB are free (set "
            f"{ROOT} to another folder)"
        )


def _settle(part: pathlib.Path, name: str) -> None:
    """Moves the set `name` from below `part` to its place, with what Minari says of the names that it lies in."""
    for parent in reversed(pathlib.PurePath(name).parents):
        (root() / parent).mkdir(parents=True, exist_ok=True)
        for said in (part / parent).glob("*.json"):
            if not (root() / parent / said.name).exists():
                said.rename(root() / parent / said.name)
    (part / name).rename(root() / name)


@contextlib.contextmanager
def _root_at(folder: str) -> Iterator[None]:
    """Minari's own functions write below `folder` in here."""
    before = os.environ.get(ROOT)
    os.environ[ROOT] = folder
    try:
        yield
    finally:
        if before is None:
            del os.environ[ROOT]
        else:
            os.environ[ROOT] = before
