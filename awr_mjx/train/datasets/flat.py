"""Logged data in flat arrays, a row a step: D4RL's names, and those of d3rlpy 1.x, OGBench and imitation."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets.arrays import (
    as_actions,
    as_column,
    as_flags,
    as_float32,
    as_numbers,
    as_observations,
    refuse_other_rows,
)
from awr_mjx.train.datasets.data_set import DataSet, listed

# Of our own npz, beside D4RL's names: what D4RL's cannot say.
OWN = ("episode_steps", "final_observations", "log_probs", "action_bounds", "about")
IMITATION = ("obs", "acts", "rews", "terminal", "indices")
REQUIRED = ("observations", "actions", "rewards", "terminals")
UNUSED = "limit is not used: what a time limit ended is told by the set itself"
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
    observations = as_observations(fields["observations"], source, "observations", notes)
    rewards = as_float32(as_column(fields["rewards"], source, "rewards"), "rewards", notes)
    hint = np.asarray(fields["discrete_action"]).reshape(-1) if "discrete_action" in fields else np.array([])
    actions = as_actions(
        as_numbers(fields["actions"], source, "actions"), source, bool(hint[0]) if len(hint) else None, notes
    )
    for name, array in (("actions", actions), ("rewards", rewards)):
        refuse_other_rows(array, observations, name, source)
    if not len(rewards):
        raise UserError(f"{source} has no whole episode: it is empty")
    if all(name in fields for name in ("episode_steps", "final_observations")):
        return _own(fields, source, limit, observations, actions, rewards, notes)
    after = None
    if "next_observations" in fields:
        after = as_observations(fields["next_observations"], source, "next_observations", notes)
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
    terminal = as_flags(fields["terminals"], source, "terminals", observations)
    if limit is not None and any(
        name in fields for name in ("masks", "episode_terminals", "timeouts", "next_observations")
    ):
        notes.append(UNUSED)
    if "masks" in fields:  # OGBench: `terminals` are the ends of trajectories, `masks` 0 where the task ended
        done = ~as_flags(fields["masks"], source, "masks", observations)
        return done, terminal & ~done
    if "episode_terminals" in fields:  # d3rlpy 1.x also sets `terminals` a row before the end
        ends = as_flags(fields["episode_terminals"], source, "episode_terminals", observations)
        return terminal & ends, ends & ~terminal
    timeout = np.zeros_like(terminal)
    if "timeouts" in fields:
        timeout = as_flags(fields["timeouts"], source, "timeouts", observations)
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
    fields: Mapping[str, Any],
    source: object,
    limit: int | None,
    observations: np.ndarray,
    actions: np.ndarray,
    rewards: np.ndarray,
    notes: list[str],
) -> DataSet:
    """Our own npz, which says everything."""
    if limit is not None:
        notes.append(UNUSED)
    steps = as_column(fields["episode_steps"], source, "episode_steps").astype(np.int64)
    final = as_observations(fields["final_observations"], source, "final_observations", [])
    if steps.sum() != len(rewards) or (steps < 1).any() or final.shape != (len(steps), observations.shape[1]):
        raise UserError(f"{source} is spoilt: its episode_steps and final_observations do not fit its rows")
    last = np.cumsum(steps) - 1
    terminal, timeout = (
        as_flags(fields[n], source, n, observations) if n in fields else np.zeros(len(rewards), bool)
        for n in ("terminals", "timeouts")
    )
    ends = terminal | timeout
    if ends.sum() > ends[last].sum():
        raise UserError(f"{source} is spoilt: it has terminals or timeouts within its episodes")
    bounds = np.asarray(fields["action_bounds"], np.float32) if "action_bounds" in fields else None
    size = 1 if actions.ndim == 1 else actions.shape[1]
    if bounds is not None and (bounds.shape != (2, size) or np.isnan(bounds).any()):
        raise UserError(f"{source} has action_bounds of shape {bounds.shape}: two rows of {size} numbers are wanted")
    log_probs = (
        as_column(fields["log_probs"], source, "log_probs").astype(np.float32) if "log_probs" in fields else None
    )
    if log_probs is not None:
        refuse_other_rows(log_probs, observations, "log_probs", source)
    return DataSet(
        observations=with_finals(observations, final, steps),
        actions=actions,
        rewards=rewards,
        steps=steps,
        terminated=terminal[last],
        truncated=timeout[last],
        log_probs=log_probs,
        action_bounds=bounds,
        about=_about(fields["about"]) if "about" in fields else {},
        notes=tuple(notes),
    )


def _about(value: Any) -> dict[str, Any]:
    text = value.decode() if isinstance(value, bytes) else str(np.asarray(value))  # HDF5 has bytes, npz an array
    found = json.loads(text)
    return found if isinstance(found, dict) else {}


def _imitation(fields: Mapping[str, Any], source: object, limit: int | None) -> DataSet:
    """`imitation`'s trajectories, whose `terminal` says that an episode is complete, at a time limit too."""
    notes: list[str] = []
    observations = as_observations(fields["obs"], source, "obs", notes)
    actions = as_actions(as_numbers(fields["acts"], source, "acts"), source, None, notes)
    rewards = as_float32(as_column(fields["rews"], source, "rews"), "rews", notes)
    cuts = as_column(fields["indices"], source, "indices").astype(np.int64)
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
