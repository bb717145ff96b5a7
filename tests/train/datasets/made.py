"""Small sets of every kind of end, and a plain loop to check returns with."""

import numpy as np

from awr_mjx.train.datasets.data_set import DataSet

ENDS = {"terminated": (True, False), "truncated": (False, True), "both": (True, True), "cut off": (False, False)}


def episodes(*steps_and_ends: tuple[int, str], size: int = 3, actions: int = 2, seed: int = 0) -> DataSet:
    """Episodes of the given steps and kinds of end, with numbers by chance; `actions` 0: choices of three."""
    rng = np.random.default_rng(seed)
    steps = np.array([count for count, _ in steps_and_ends])
    rows = int(steps.sum())
    kinds = np.array([ENDS[kind] for _, kind in steps_and_ends])
    drawn = rng.integers(0, 3, rows).astype(np.int32) if not actions else rng.uniform(-1, 1, (rows, actions))
    return DataSet(
        observations=rng.normal(size=(rows + len(steps), size)).astype(np.float32),
        actions=drawn if not actions else drawn.astype(np.float32),
        rewards=rng.normal(size=rows).astype(np.float32),
        steps=steps,
        terminated=kinds[:, 0],
        truncated=kinds[:, 1],
    )


def flat(found: DataSet, after: bool) -> dict[str, np.ndarray]:
    """The set by D4RL's names, with or without `next_observations`."""
    last = np.cumsum(found.steps) - 1
    acted_on = found.acted_on()
    fields = {"observations": found.observations[acted_on], "actions": found.actions, "rewards": found.rewards}
    for name, flags in (("terminals", found.terminated), ("timeouts", found.truncated)):
        fields[name] = np.zeros(len(found.rewards), bool)
        fields[name][last] = flags
    return fields | ({"next_observations": found.observations[acted_on + 1]} if after else {})


def same(one: DataSet, other: DataSet) -> None:
    """Asserts that two sets hold the same to the last bit, whatever they say of themselves."""
    for name in ("observations", "actions", "rewards", "steps", "terminated", "truncated"):
        mine, its = getattr(one, name), getattr(other, name)
        assert mine.dtype == its.dtype or name == "steps", name
        np.testing.assert_array_equal(mine, its, err_msg=name)
