"""Minari's data sets, a folder each: read from HDF5, Arrow or Parquet without Minari."""

import contextlib
import importlib.util
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from awr_mjx.envs.packages import install
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets.arrays import as_actions, as_float32
from awr_mjx.train.datasets.data_set import DataSet

ROOT = "MINARI_DATASETS_PATH"
ID = re.compile(r"([\w-]+(/[\w-]+)*/)?[\w-]+-v\d+")
LONGEST = 32_767  # rows of an episode that Minari's Arrow and Parquet keep in order
LOG_PROB = "log_prob"  # among Minari's infos


class Episode(NamedTuple):
    """T steps as they are stored: observations [T + 1, ...], the others [T, ...], `log_prob` [T + 1] or None."""

    obs: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    ends: np.ndarray
    limits: np.ndarray
    log_prob: np.ndarray | None = None


def root() -> pathlib.Path:
    """Where Minari keeps its data sets."""
    return pathlib.Path(
        os.environ.get(ROOT) or pathlib.Path.home() / ".minari" / "datasets"
    ).absolute()  # Minari wants it so


def folder_of(place: pathlib.Path) -> pathlib.Path | None:
    """The folder with `metadata.json` of the set in folder `place`, if there is one."""
    for folder in (place / "data", place):
        if (folder / "metadata.json").is_file():
            return folder
    return None


def read(folder: pathlib.Path) -> DataSet:
    """The set whose `metadata.json` is in `folder`.

    Raises:
      UserError: if it is spoilt, of another kind (images, several parts), or needs a package.
    """
    try:
        meta = json.loads((folder / "metadata.json").read_text())
        form = meta.get("data_format", "hdf5")
        space, action_space = (json.loads(meta[name]) for name in ("observation_space", "action_space"))
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise UserError(f"{folder / 'metadata.json'} is not that of a Minari set: {error}") from error
    readers: dict[str, Callable[[pathlib.Path], Iterator[Episode]]]
    readers = {"hdf5": _hdf5, "arrow": lambda f: _tables(f, "arrow"), "parquet": lambda f: _tables(f, "parquet")}
    if form not in readers:
        raise UserError(f"{folder} is in Minari's format {form!r}; known are {', '.join(readers)}")
    if space.get("type") != "Box" or len(space.get("shape", ())) != 1:
        parts = f" ({', '.join(space['subspaces'])})" if isinstance(space.get("subspaces"), dict) else ""
        raise UserError(f"{folder} has observations of type {space.get('type')}{parts}: one row of numbers is wanted")
    if action_space.get("type") not in ("Box", "Discrete") or len(action_space.get("shape", ())) > 1:
        raise UserError(f"{folder} has actions of type {action_space.get('type')}: Box or Discrete is wanted")
    return _joined(list(readers[form](folder)), meta, action_space, folder)


def _joined(episodes: list[Episode], meta: dict[str, Any], space: dict[str, Any], folder: pathlib.Path) -> DataSet:
    notes: list[str] = []
    if not episodes:
        raise UserError(f"{folder} has no whole episode")
    if meta.get("total_episodes", len(episodes)) != len(episodes):
        raise UserError(
            f"{folder} says that it has {meta['total_episodes']} episodes, and has {len(episodes):,}: it is not whole"
        )
    steps = np.array([len(one.reward) for one in episodes])
    for i, one in enumerate(episodes):
        if not len(one.obs) - 1 == len(one.action) == len(one.ends) == len(one.limits) == steps[i] > 0:
            raise UserError(
                f"{folder}: episode {i} has {len(one.obs):,} observations, {len(one.action):,} actions, {steps[i]:,} "
                f"rewards and {len(one.ends):,} ends, which do not fit each other"
            )
        if (one.ends[:-1] | one.limits[:-1]).any():
            raise UserError(f"{folder}: episode {i} has an end before its last step")
    observations, actions, rewards = (
        np.concatenate([getattr(one, name) for one in episodes]) for name in ("obs", "action", "reward")
    )
    terminated, truncated = (
        np.array([bool(getattr(one, name)[-1]) for one in episodes]) for name in ("ends", "limits")
    )
    log_probs = [one.log_prob[:-1] for one in episodes if one.log_prob is not None]
    cut = int((~terminated & ~truncated).sum())
    if cut:
        notes.append(f"{cut:,} episodes have no end: they are taken as cut off there")
    discrete = space["type"] == "Discrete"
    first = int(space.get("start", 0)) if discrete else 0
    bounds: list[Any] = [[0], [int(space["n"]) - 1]] if discrete else [space.get("low"), space.get("high")]
    said = ("dataset_id", "ref_min_score", "ref_max_score", "description")
    about: dict[str, Any] = {name: meta[name] for name in said if name in meta}
    with contextlib.suppress(ValueError, TypeError, KeyError):  # what `write` has put there
        ours = json.loads(about["description"])
        about = {**{name: value for name, value in about.items() if name != "description"}, **ours}
    if meta.get("env_spec"):
        about["env"] = json.loads(meta["env_spec"]).get("id")
    return DataSet(
        observations=as_float32(observations, "observations", notes),
        actions=as_actions(actions - first if first else actions, folder, discrete, notes),
        rewards=as_float32(rewards.reshape(-1), "rewards", notes),
        steps=steps,
        terminated=terminated,
        truncated=truncated,
        log_probs=np.concatenate(log_probs).astype(np.float32) if sum(map(len, log_probs)) == steps.sum() else None,
        action_bounds=None if None in bounds else np.asarray(bounds, np.float32).reshape(2, -1),
        about=about,
        notes=tuple(notes),
    )


def _hdf5(folder: pathlib.Path) -> Iterator[Episode]:
    h5py = package("h5py")
    path = folder / "main_data.hdf5"
    try:
        with h5py.File(path) as file:
            names = sorted((n for n in file if n.startswith("episode_")), key=lambda n: int(n.removeprefix("episode_")))
            for name in names:
                group = file[name]
                fields = ("observations", "actions", "rewards", "terminations", "truncations")
                obs, action, reward, ends, limits = (group[field][()] for field in fields)
                infos = group["infos"] if "infos" in group else {}
                log_prob = infos[LOG_PROB][()] if LOG_PROB in infos else None
                yield Episode(obs, action, reward.reshape(-1), ends.astype(bool), limits.astype(bool), log_prob)
    except (OSError, KeyError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def _tables(folder: pathlib.Path, form: str) -> Iterator[Episode]:
    """Arrow and Parquet, a folder an episode.

    Minari 0.5.4 reads them in batches of `LONGEST` rows and takes each for an episode, and has them written by threads
    in any order. So a longer episode is not what was recorded, even on the disk, and nothing there shows it.
    """
    package("pyarrow")
    import pyarrow
    import pyarrow.dataset

    places = sorted((p for p in folder.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))
    for place in places:
        try:
            said = json.loads((place / "metadata.json").read_text()).get("total_steps")
            files = pyarrow.dataset.dataset(place, format=form, ignore_prefixes=["_", ".", "metadata.json"])
            table = files.to_table().combine_chunks()
            columns = {name: table.column(name) for name in table.column_names}
            obs, action = (_rows(columns[name]) for name in ("observations", "actions"))
            reward, ends, limits = (
                columns[name].to_numpy(zero_copy_only=False)[:-1] for name in ("rewards", "terminations", "truncations")
            )
        except (OSError, KeyError, ValueError, TypeError, pyarrow.ArrowException) as error:
            raise UserError(f"{place} cannot be read: {' '.join(str(error).split())}") from error
        if said is not None and len(reward) != said:
            raise UserError(f"{place} has {len(reward):,} steps and should have {said:,}: it is cut off")
        if len(obs) > LONGEST:
            raise UserError(
                f"{place} has {len(reward):,} steps: Minari mixes up the rows of an episode of more than "
                f"{LONGEST - 1:,} in {form}; write the set anew with data_format='hdf5'"
            )
        yield Episode(obs, action[:-1], reward, ends.astype(bool), limits.astype(bool))


def _rows(column: Any) -> np.ndarray:
    """A column of numbers [T], or of lists of equal length [T, K]."""
    array = column.combine_chunks()
    if not hasattr(array.type, "list_size"):
        return array.to_numpy(zero_copy_only=False)
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), array.type.list_size)


def package(name: str) -> Any:
    """The installed package `name`.

    Raises:
      UserError: if it is not installed.
    """
    if importlib.util.find_spec(name) is None:
        raise UserError(f"{name} is not installed: {install(name if name == 'minari' else 'data')}")
    return importlib.import_module(name)
