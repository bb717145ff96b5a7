"""Logged data in flat arrays, a row a step: D4RL's names, and those of d3rlpy 1.x, OGBench and imitation."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from train.console.errors import UserError
from train.datasets.data_set import DataSet, listed

# Of our own npz, beside D4RL's names: what D4RL's cannot say.
OWN = ("episode_steps", "final_observations", "log_probs", "action_bounds", "about")
IMITATION = ("obs", "acts", "rews", "terminal", "indices")
REQUIRED = ("observations", "actions", "rewards", "terminals")
LIMIT_HINT = "give --limit N, the time limit in steps with which they were recorded (0: there was none)"


def from_fields(fields: Mapping[str, Any], source: object, limit: int | None) -> DataSet:
    """The episodes that flat arrays hold.

    Args:
      fields: arrays by name, read when they are asked for.
      source: what to call them in messages.
      limit: the time limit in steps with which they were recorded, where the arrays do not say what a time limit ended;
        0 if there was none, None if that is not known.

    Raises:
      UserError: if fields are missing or do not fit each other, or an end cannot be classified.
    """
    if all(name in fields for name in IMITATION):
        return _imitation(fields, source, limit)
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        raise UserError(f"{source} has no {' and no '.join(missing)}; it has {', '.join(sorted(fields)) or 'nothing'}")
    notes: list[str] = []
    observations = _observations(fields["observations"], source, "observations", notes)
    rewards = _column(fields["rewards"], source, "rewards").astype(np.float32)
    hint = fields["discrete_action"] if "discrete_action" in fields else None
    actions = _actions(fields["actions"], source, None if hint is None else bool(np.asarray(hint).reshape(-1)[0]))
    for name, array in (("actions", actions), ("rewards", rewards)):
        _same_rows(array, observations, name, source)
    if not len(rewards):
        raise UserError(f"{source} has no whole episode: it is empty")
    if all(name in fields for name in ("episode_steps", "final_observations")):
        return _own(fields, source, observations, actions, rewards)
    after = None
    if "next_observations" in fields:
        after = _observations(fields["next_observations"], source, "next_observations", notes)
        if after.shape != observations.shape:
            raise UserError(
                f"{source} has next_observations of shape {after.shape}, and observations {observations.shape}"
            )
    terminal, timeout = _ends(fields, source, limit, observations, after, notes)
    return _cut(observations, after, actions, rewards, terminal, timeout, notes)


def _ends(
    fields: Mapping[str, Any],
    source: object,
    limit: int | None,
    observations: np.ndarray,
    after: np.ndarray | None,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """bool [R] twice: where the task ended an episode, and where a time limit did."""
    terminal = _flags(fields["terminals"], source, "terminals", observations)
    if "masks" in fields:  # OGBench: `terminals` are the ends of trajectories, `masks` 0 where the task ended
        done = ~_flags(fields["masks"], source, "masks", observations)
        return done, terminal & ~done
    if "episode_terminals" in fields:  # d3rlpy 1.x also sets `terminals` a row before the end
        ends = _flags(fields["episode_terminals"], source, "episode_terminals", observations)
        return terminal & ends, ends & ~terminal
    timeout = np.zeros_like(terminal)
    if "timeouts" in fields:
        timeout = _flags(fields["timeouts"], source, "timeouts", observations)
    elif after is None:
        if limit is None:
            raise UserError(
                f"{source} has neither timeouts nor next_observations, so nothing says where a time limit ended its "
                f"episodes: {LIMIT_HINT}"
            )
        if limit:
            timeout = _at_limit(terminal, limit)
    if after is not None:
        jumps = np.append((after[:-1] != observations[1:]).any(axis=1), False) & ~(terminal | timeout)
        if jumps.any():
            marked = "are not marked as ends" if "timeouts" in fields else "are not the task's ends"
            notes.append(
                f"{jumps.sum():,} rows have a successor that is not the next row and {marked}: each is taken for the "
                "end of an episode by a time limit"
            )
        timeout = timeout | jumps
    return terminal, timeout


def _at_limit(terminal: np.ndarray, limit: int) -> np.ndarray:
    """Where `limit` steps have passed since the last end."""
    found = np.zeros_like(terminal)
    start = 0
    for end in [*np.flatnonzero(terminal).tolist(), len(terminal) - 1]:
        found[start + limit - 1 : end + 1 : limit] = True
        start = end + 1
    return found & ~terminal


def _cut(
    observations: np.ndarray,
    after: np.ndarray | None,
    actions: np.ndarray,
    rewards: np.ndarray,
    terminal: np.ndarray,
    timeout: np.ndarray,
    notes: list[str],
) -> DataSet:
    """Episodes out of flat rows.

    Where the observation after an episode's last step is not stored, and the task ended it there, nobody will ask for
    it. If not, the last row becomes that observation, and its step is lost.
    """
    ends = terminal | timeout
    if not ends[-1]:
        notes.append("the last episode has no end: it is taken as cut off there")
    ends[-1] = True
    last = np.flatnonzero(ends)
    steps = np.diff(last, prepend=-1)
    terminated, truncated = terminal[last], timeout[last]
    kept = np.ones(len(rewards), bool)
    if after is None:
        kept[last[~terminated]] = False
        lost = int((~terminated).sum())
        if lost:
            notes.append(
                f"{lost:,} episodes that the task did not end lack the observation after their last step: the "
                "last one that is stored stands for it, and their last step is left out"
            )
        steps = steps - ~terminated
        final = observations[last]
    else:
        final = after[last]
    whole = steps > 0
    if not whole.all():
        notes.append(f"{(~whole).sum():,} episodes of a single row have no step that is known, and are left out")
    numbers = np.cumsum(ends) - ends  # the episode of each row
    rows = np.flatnonzero(kept & whole[numbers])
    return DataSet(
        observations=with_finals(observations[rows], final[whole], steps[whole]),
        actions=actions[rows],
        rewards=rewards[rows],
        steps=steps[whole],
        terminated=terminated[whole],
        truncated=truncated[whole],
        notes=tuple(notes),
    )


def with_finals(observations: np.ndarray, final: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Observations [R + E, O]: those acted on [R, O], and after those of each of E episodes its `final` one [E, O]."""
    out = np.empty((len(observations) + len(final), observations.shape[1]), np.float32)
    place = np.arange(len(observations)) + np.repeat(np.arange(len(steps)), steps)
    out[place] = observations
    out[np.cumsum(steps + 1) - 1] = final
    return out


def _own(
    fields: Mapping[str, Any], source: object, observations: np.ndarray, actions: np.ndarray, rewards: np.ndarray
) -> DataSet:
    """Our own npz, which says everything."""
    steps = _column(fields["episode_steps"], source, "episode_steps").astype(np.int64)
    final = _observations(fields["final_observations"], source, "final_observations", [])
    if steps.sum() != len(rewards) or (steps < 1).any() or final.shape != (len(steps), observations.shape[1]):
        raise UserError(f"{source} is spoilt: its episode_steps and final_observations do not fit its rows")
    last = np.cumsum(steps) - 1
    terminal, timeout = (
        _flags(fields[n], source, n, observations) if n in fields else np.zeros(len(rewards), bool)
        for n in ("terminals", "timeouts")
    )
    log_probs = _column(fields["log_probs"], source, "log_probs").astype(np.float32) if "log_probs" in fields else None
    if log_probs is not None:
        _same_rows(log_probs, observations, "log_probs", source)
    return DataSet(
        observations=with_finals(observations, final, steps),
        actions=actions,
        rewards=rewards,
        steps=steps,
        terminated=terminal[last],
        truncated=timeout[last],
        log_probs=log_probs,
        action_bounds=np.asarray(fields["action_bounds"], np.float32) if "action_bounds" in fields else None,
        about=_about(fields["about"]) if "about" in fields else {},
    )


def _about(value: Any) -> dict[str, Any]:
    text = value.decode() if isinstance(value, bytes) else str(np.asarray(value))  # HDF5 has bytes, npz an array
    found = json.loads(text)
    return found if isinstance(found, dict) else {}


def _imitation(fields: Mapping[str, Any], source: object, limit: int | None) -> DataSet:
    """`imitation`'s trajectories, whose `terminal` says that an episode is complete, at a time limit too."""
    notes: list[str] = []
    observations = _observations(fields["obs"], source, "obs", notes)
    actions = _actions(fields["acts"], source, None)
    rewards = _column(fields["rews"], source, "rews").astype(np.float32)
    cuts = _column(fields["indices"], source, "indices").astype(np.int64)
    bounds = np.concatenate([[0], cuts, [len(rewards)]])
    steps = np.diff(bounds)
    complete = np.asarray(fields["terminal"]).astype(bool).reshape(-1)
    if len(complete) != len(steps) or len(actions) != len(rewards) or len(observations) != len(rewards) + len(steps):
        raise UserError(f"{source} is spoilt: its obs, acts, rews, terminal and indices do not fit each other")
    if limit is None:
        raise UserError(f"{source} does not tell the ends of its task from those of a time limit: {LIMIT_HINT}")
    at_limit = (steps >= limit) if limit else np.zeros(len(steps), bool)
    whole = steps > 0
    if not whole.all():
        raise UserError(f"{source} has episodes without a step: {listed(np.flatnonzero(~whole), 'episode')}")
    return DataSet(observations, actions, rewards, steps, complete & ~at_limit, complete & at_limit, notes=tuple(notes))


def _observations(array: Any, source: object, name: str, notes: list[str]) -> np.ndarray:
    found = _numbers(array, source, name)
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2:
        raise UserError(f"{source} has {name} of shape {found.shape}: rows of numbers are wanted, [rows, numbers]")
    return as_float32(found, name, notes)


def as_float32(array: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """The array in float32, with a note where that rounds."""
    if array.dtype == np.float64:
        notes.append(f"{name} are float64, and are rounded to float32")
    return np.ascontiguousarray(array, np.float32)


def _actions(array: Any, source: object, discrete: bool | None) -> np.ndarray:
    return as_actions(_numbers(array, source, "actions"), source, discrete)


def as_actions(found: np.ndarray, source: object, discrete: bool | None) -> np.ndarray:
    """Actions as float32 [R, A] or int32 [R]; integers are choices unless `discrete` says otherwise.

    Raises:
      UserError: for another shape, or choices that are no numbers from 0.
    """
    if found.ndim == 2 and found.shape[1] == 1 and (discrete or np.issubdtype(found.dtype, np.integer)):
        found = found[:, 0]
    if discrete is None:
        discrete = found.ndim == 1 and np.issubdtype(found.dtype, np.integer)
    if discrete:
        if found.ndim != 1 or (found != np.floor(found)).any() or (found < 0).any():
            raise UserError(f"{source} has actions that are no choices 0, 1, 2, ...")
        return found.astype(np.int32)
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2:
        raise UserError(f"{source} has actions of shape {found.shape}: rows of numbers are wanted, or whole numbers")
    return np.ascontiguousarray(found, np.float32)


def _numbers(array: Any, source: object, name: str) -> np.ndarray:
    found = np.asarray(array)
    if found.dtype == bool:
        found = found.astype(np.int64)
    if not np.issubdtype(found.dtype, np.number) or np.iscomplexobj(found) or found.ndim == 0:
        shape = f"type {found.dtype} and shape {found.shape}"
        raise UserError(f"{source} has {name} of {shape}: rows of numbers are wanted")
    return found


def _column(array: Any, source: object, name: str) -> np.ndarray:
    found = _numbers(array, source, name)
    if found.size != found.shape[0]:
        raise UserError(f"{source} has {name} of shape {found.shape}: one number a row is wanted")
    return found.reshape(-1)


def _flags(array: Any, source: object, name: str, rows: np.ndarray) -> np.ndarray:
    found = _column(array, source, name)
    _same_rows(found, rows, name, source)
    if not np.isin(found, (0, 1)).all():
        raise UserError(f"{source} has {name} that are neither 0 nor 1")
    return found.astype(bool)


def _same_rows(array: np.ndarray, rows: np.ndarray, name: str, source: object) -> None:
    if len(array) != len(rows):
        raise UserError(f"{source} has {len(array):,} rows of {name} and {len(rows):,} of observations")
