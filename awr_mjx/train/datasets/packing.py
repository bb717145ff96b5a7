"""Whole episodes packed into the replay ring's [C, N], end to end in N lanes."""

import heapq
from collections.abc import Sequence
from typing import Any

import numpy as np

from awr_mjx.algorithm import replay
from awr_mjx.algorithm.static import StaticRing
from awr_mjx.train.datasets.data_set import DataSet, joined

MOST_LANES = 4096
WASTE = 0.02  # of the ring's rows may be empty; fewer lanes waste less, more are labelled faster


def packed(sets: Sequence[DataSet], shares: Sequence[float] = (), lanes: int = 0) -> StaticRing:
    """A ring with all episodes of the sets, of NumPy arrays.

    Args:
      sets: of one task.
      shares: how often each set is drawn from, in any unit; as often as it has steps if empty.
      lanes: N; 0: as many as leave little of it empty.
    """
    whole = joined(sets)
    lengths = whole.steps + 1
    if lanes:
        lane, offset, capacity = _into(lengths, lanes)
    else:
        lane, offset, lanes, capacity = laid(lengths)
    first = np.cumsum(lengths) - lengths
    inside = np.arange(int(lengths.sum())) - np.repeat(first, lengths)
    place = (np.repeat(offset, lengths) + inside) * lanes + np.repeat(lane, lengths)  # of every observation
    acted_on = whole.acted_on()
    of_steps = place[acted_on]
    last = of_steps[np.cumsum(whole.steps) - 1]

    def scattered(values: np.ndarray, places: np.ndarray) -> Any:
        out = np.zeros((capacity * lanes, *values.shape[1:]), values.dtype)
        out[places] = values
        return out.reshape(capacity, lanes, *values.shape[1:])

    rows = replay.Rows(
        obs=scattered(whole.observations, place),
        action=scattered(whole.actions, of_steps),
        reward=scattered(whole.rewards, of_steps),
        terminated=scattered(whole.terminated, last),
        valid=scattered(np.ones(len(of_steps), bool), of_steps),
    )
    counts = np.array([len(one.rewards) for one in sets])
    asked = np.asarray(shares or counts, np.float64)
    return StaticRing(
        rows=rows,
        head=_array(0, np.int32),
        filled=_array(capacity, np.int32),
        places=_array(of_steps, np.int32),
        starts=_array(np.cumsum([0, *counts]), np.int32),
        shares=_array(asked / asked.sum(), np.float32),
    )


def _array(value: Any, dtype: Any) -> Any:
    return np.asarray(value, dtype)


def laid(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Where in N lanes of C rows episodes of `lengths` [E] rows lie: lane [E], first row [E], N and C."""
    most = min(MOST_LANES, max(1, int(lengths.sum() // lengths.max())))
    best: tuple[np.ndarray, np.ndarray, int, int] | None = None
    while True:
        lane, offset, capacity = _into(lengths, most)
        if best is None or capacity * most < best[2] * best[3]:
            best = lane, offset, most, capacity
        if most == 1 or best[2] * best[3] <= (1 + WASTE) * lengths.sum():
            return best
        most = most * 3 // 4


def _into(lengths: np.ndarray, lanes: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Lane and first row of each episode, the longest laid first and each into the emptiest lane; and the rows."""
    lane, offset = np.zeros(len(lengths), np.int64), np.zeros(len(lengths), np.int64)
    heap = [(0, i) for i in range(lanes)]
    for episode in np.argsort(-lengths, kind="stable"):
        filled, emptiest = heap[0]
        lane[episode], offset[episode] = emptiest, filled
        heapq.heapreplace(heap, (filled + int(lengths[episode]), emptiest))
    return lane, offset, max(filled for filled, _ in heap)
