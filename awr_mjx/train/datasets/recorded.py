"""Episodes out of what N environments did, row by row."""

from typing import Any

import numpy as np

from awr_mjx.algorithm.replay import Rows
from awr_mjx.train.datasets.data_set import DataSet


def from_rows(
    rows: Rows, live_obs: np.ndarray, ended: np.ndarray, log_probs: np.ndarray | None = None
) -> tuple[DataSet, np.ndarray]:
    """The episodes in T successive rows of N environments, oldest first, with when each of them starts, int64 [E].

    Args:
      rows: NumPy arrays [T, N, ...], as in the replay ring: the successor of every valid row is the next row.
      live_obs: float32 [N, O], the successors of the newest rows.
      ended: bool [N], whether the newest row ended its episode.
      log_probs: float32 [T, N], of the actions.

    An episode that goes on is cut off after the newest row, and one that was under way in the first row begins there.
    """

    def lanes(array: Any) -> np.ndarray:  # environment by environment, one row after the other
        array = np.asarray(array)
        return np.swapaxes(array, 0, 1).reshape(-1, *array.shape[2:])

    time, envs = rows.valid.shape
    obs = lanes(np.concatenate([np.asarray(rows.obs), live_obs[None]]))
    valid = lanes(np.concatenate([np.asarray(rows.valid), np.zeros((1, envs), bool)]))
    after = np.append(False, valid[:-1]) & ~valid  # the row after an episode's last step
    last = np.flatnonzero(after) - 1
    first = np.flatnonzero(valid & ~np.append(False, valid[:-1]))
    number, row = last // (time + 1), last % (time + 1)
    terminated = np.asarray(rows.terminated)[row, number]
    goes_on = (row == time - 1) & ~ended[number]
    steps = lanes(rows.valid)
    found = DataSet(
        observations=np.ascontiguousarray(obs[valid | after], np.float32),
        actions=lanes(rows.action)[steps],
        rewards=lanes(rows.reward)[steps].astype(np.float32),
        steps=last - first + 1,
        terminated=terminated,
        truncated=~terminated & ~goes_on,
        log_probs=None if log_probs is None else lanes(log_probs)[steps].astype(np.float32),
    )
    return found, first % (time + 1)
