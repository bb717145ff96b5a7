"""Logged data to files: npz or D4RL's HDF5, each of which says all that is known, or a Minari set."""

import json
import pathlib
from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import check_writable, replacing, write_npz
from awr_mjx.train.datasets import minari_format, minari_writing
from awr_mjx.train.datasets.data_set import DataSet

HDF5 = (".h5", ".hdf5")
NAMES = "a file NAME.npz or NAME.hdf5, or the id of a Minari set such as hopper/mixture-v0"


def check_place(out: str) -> None:
    """Makes sure, before long work, that a set can be written as `out`.

    Raises:
      UserError: if it cannot.
    """
    suffix = pathlib.Path(out).suffix
    if suffix in HDF5:
        minari_format.package("h5py")
    if suffix in (".npz", *HDF5):
        check_writable(pathlib.Path(out), "name another file with --out")
        return
    if suffix or out.startswith((".", "/")):
        raise UserError(f"--out {out} is neither {NAMES}")
    minari_writing.check_place(out)


def write(found: DataSet, out: str) -> pathlib.Path:
    """Writes the set as `out` (`NAMES`) and returns where it is.

    Raises:
      UserError: if it cannot be written.
    """
    path = pathlib.Path(out)
    if path.suffix == ".npz":
        write_npz(path, fields(found))
    elif path.suffix in HDF5:
        h5py = minari_format.package("h5py")
        with replacing(path) as part, h5py.File(part, "w") as file:
            for name, array in fields(found).items():
                file[name] = str(array) if array.dtype.kind == "U" else array
    else:
        return minari_writing.write(found, out)
    return path


def fields(found: DataSet) -> dict[str, Any]:
    """The set by D4RL's names, with what these cannot say beside them."""
    last = np.cumsum(found.steps) - 1
    terminals, timeouts = (np.zeros(len(found.rewards), bool) for _ in range(2))
    terminals[last], timeouts[last] = found.terminated, found.truncated
    acted_on = found.acted_on()
    arrays = {
        "observations": found.observations[acted_on],
        "actions": found.actions,
        "rewards": found.rewards,
        "terminals": terminals,
        "timeouts": timeouts,
        "episode_steps": found.steps,
        "final_observations": found.observations[acted_on[last] + 1],
        "about": np.array(json.dumps(found.about)),
    }
    if found.log_probs is not None:
        arrays["log_probs"] = found.log_probs
    if found.action_bounds is not None:
        arrays["action_bounds"] = found.action_bounds
    return arrays
