"""What logged data are like, in numbers."""

from typing import Any

import numpy as np

from awr_mjx.train.datasets.data_set import DataSet

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
STD_LEAST = 1e-6  # of an observation that says something
AT_BOUND = 1e-4  # from its bound, in units of half the range


def summarise(found: DataSet) -> dict[str, Any]:
    """Everything that one looks at before learning from a set, as JSON values by name."""
    returns, steps = found.returns(), found.steps
    both = found.terminated & found.truncated
    ends = {
        "terminated": found.terminated & ~both,
        "truncated": found.truncated & ~both,
        "both": both,
        "cut off": ~(found.terminated | found.truncated),
    }
    std = found.observations.std(axis=0, dtype=np.float64)
    return {
        "episodes": len(steps),
        "steps": int(steps.sum()),
        "observation_size": found.observation_size,
        "action_size": found.action_size,
        "discrete": found.discrete,
        "ends": {name: int(mask.sum()) for name, mask in ends.items()},
        "episode_steps": _quantiles(steps),
        "returns": {**_quantiles(returns), "mean": float(returns.mean()), "std": float(returns.std())},
        "rewards": {
            "least": float(found.rewards.min()),
            "most": float(found.rewards.max()),
            "mean": float(found.rewards.mean(dtype=np.float64)),
        },
        "actions": _actions(found),
        "constant_observations": np.flatnonzero(std < STD_LEAST).tolist(),
        "observations_most": float(np.abs(found.observations).max()),
        "duplicate_steps": duplicates(found),
        "log_probs": found.log_probs is not None,
        "checksum": found.checksum(),
        "about": found.about,
        "notes": list(found.notes),
    }


def _quantiles(values: np.ndarray) -> dict[str, float]:
    found = np.quantile(values, QUANTILES)
    return {f"{share:.0%}": float(value) for share, value in zip(QUANTILES, found, strict=True)}


def _actions(found: DataSet) -> dict[str, Any]:
    """Shares of the choices; or range, spread and how many lie at their bounds or beyond, a number a dimension."""
    if found.discrete:
        shares = np.bincount(found.actions, minlength=found.action_size) / len(found.actions)
        return {"shares": shares.tolist()}
    low, high = bounds(found)
    place = (found.actions - low) / ((high - low) / 2) - 1  # in units of [-1, 1]
    return {
        "least": found.actions.min(axis=0).tolist(),
        "most": found.actions.max(axis=0).tolist(),
        "std": found.actions.std(axis=0, dtype=np.float64).tolist(),
        "bounds": np.stack([low, high]).tolist(),
        "bounds_known": found.action_bounds is not None,
        "at_bounds": float((np.abs(place) >= 1 - AT_BOUND).mean()),
        "beyond": float((np.abs(place) > 1 + AT_BOUND).mean()),
    }


def bounds(found: DataSet) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest action, both float32 [A]: those of the set where it knows them and they are finite, else 1."""
    ones = np.ones(found.action_size, np.float32)
    known = found.action_bounds
    if known is None or not np.isfinite(known).all() or not (known[1] > known[0]).all():
        return -ones, ones
    return known[0], known[1]


def duplicates(found: DataSet) -> int:
    """How many steps act on an observation, with an action, that an earlier step has had, to the last bit."""
    rows = np.concatenate(
        [found.observations[found.acted_on()], found.actions.reshape(len(found.actions), -1).astype(np.float32)], axis=1
    )
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1])))
    return len(rows) - len(np.unique(whole))
