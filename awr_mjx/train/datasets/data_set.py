"""Logged data in memory: whole episodes, each with the observation after its last step."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError

SHOWN = 5  # rows or episodes that a message names
LARGEST = 1e15  # of a number: there is room in float32 for the square of a return a thousand times as large


@dataclasses.dataclass(frozen=True)
class DataSet:
    """E episodes of R steps in all, laid end to end.

    Attributes:
      observations: float32 [R + E, O]; an episode of T steps has T + 1, the last one that after its last step.
      actions: float32 [R, A], or int32 [R] where they are choices.
      rewards: float32 [R].
      steps: int64 [E], the steps T of each episode, at least 1.
      terminated: bool [E], the task ended the episode: what comes after is worth nothing.
      truncated: bool [E], a time limit did. Where neither holds the recording was cut off. Both is terminated.
      log_probs: float32 [R], log-density of each action under the policy that drew it; None where it is not known.
      action_bounds: float32 [2, A], lowest and highest action of the recorded task; None where they are not known.
      about: what else the set says of itself, as JSON values.
      notes: what had to be assumed to read it, a line each.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    steps: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    log_probs: np.ndarray | None = None
    action_bounds: np.ndarray | None = None
    about: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def discrete(self) -> bool:
        """Whether an action is a choice."""
        return self.actions.dtype == np.int32

    @property
    def observation_size(self) -> int:
        """O."""
        return int(self.observations.shape[1])

    @property
    def action_size(self) -> int:
        """A: the dimensions of an action, or the number of choices, as far as the data or the bounds show it."""
        if not self.discrete:
            return int(self.actions.shape[1])
        most = int(self.actions.max(initial=0))
        return 1 + (most if self.action_bounds is None else max(most, int(self.action_bounds[1, 0])))

    @property
    def starts(self) -> np.ndarray:
        """int64 [E], the first step of each episode; its first observation is at `starts + arange(E)`."""
        return np.cumsum(self.steps) - self.steps

    def episode_of(self) -> np.ndarray:
        """int64 [R], the episode that each step is of."""
        return np.repeat(np.arange(len(self.steps)), self.steps)

    def acted_on(self) -> np.ndarray:
        """int64 [R], where in `observations` the one that each step acted on is; the next is its successor."""
        return np.arange(len(self.rewards)) + self.episode_of()

    def returns(self) -> np.ndarray:
        """float64 [E], the undiscounted sums of rewards."""
        return np.add.reduceat(self.rewards.astype(np.float64), self.starts)

    def select(self, episodes: np.ndarray) -> "DataSet":
        """The set of the given `episodes` (int [K]) alone, in that order."""
        rows = _runs(self.starts[episodes], self.steps[episodes])
        states = _runs(self.starts[episodes] + episodes, self.steps[episodes] + 1)
        return dataclasses.replace(
            self,
            observations=self.observations[states],
            actions=self.actions[rows],
            rewards=self.rewards[rows],
            steps=self.steps[episodes],
            terminated=self.terminated[episodes],
            truncated=self.truncated[episodes],
            log_probs=None if self.log_probs is None else self.log_probs[rows],
        )

    def checksum(self) -> str:
        """What tells this content from another, in 16 hexadecimal digits; the order of the episodes counts."""
        found = hashlib.sha256()
        for array in (self.observations, self.actions, self.rewards, self.steps, self.terminated, self.truncated):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()[:16]


def _runs(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers start, ..., start + length - 1 of each run, one run after the other."""
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths)


def joined(sets: Sequence[DataSet]) -> DataSet:
    """All episodes of several sets, one set after the other.

    Raises:
      UserError: if they are of different sizes or kinds of actions.
    """
    first, *others = sets
    for other in others:
        mine, its = [(s.observation_size, s.discrete, s.discrete or s.actions.shape[1]) for s in (first, other)]
        if mine != its:
            raise UserError(f"the sets do not fit each other: {_shape(first)}, and {_shape(other)}")
    if not others:
        return first
    bounds = [s.action_bounds for s in sets]
    agree = all(b is not None and bounds[0] is not None and np.array_equal(b, bounds[0]) for b in bounds)

    def every(name: str) -> np.ndarray:
        return np.concatenate([getattr(s, name) for s in sets])

    return DataSet(
        **{name: every(name) for name in ("observations", "actions", "rewards", "steps", "terminated", "truncated")},
        log_probs=None if any(s.log_probs is None for s in sets) else every("log_probs"),
        action_bounds=bounds[0] if agree else None,
        about={"joined": [s.about for s in sets]},
        notes=tuple(dict.fromkeys(note for s in sets for note in s.notes)),
    )


def _shape(found: DataSet) -> str:
    actions = "choices" if found.discrete else f"actions of {found.actions.shape[1]} numbers"
    return f"one has observations of {found.observation_size} numbers and {actions}"


def checked(found: DataSet, source: object) -> DataSet:
    """The same set, if it can be learned from.

    Raises:
      UserError: if it has no whole episode, or numbers that are not finite, with the rows, or too large; `source` is
        named.
    """
    if not len(found.steps):
        raise UserError(f"{source} has no whole episode")
    by_name = {
        "observations": found.observations,
        "actions": found.actions,
        "rewards": found.rewards,
        "log_probs": found.log_probs,
    }
    for name, array in by_name.items():
        if array is None or not array.size:
            continue
        most = max(float(array.max()), -float(array.min()))  # NaN where one is
        if most <= LARGEST:
            continue
        broken = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))
        if not len(broken):
            raise UserError(
                f"{source} has {name} as large as {most:.3g}: beyond {LARGEST:g} their squares and sums overflow; "
                "write them in another unit"
            )
        if name == "observations":  # count steps, as the file does; the one after an episode's last step counts as its
            episode = np.searchsorted(found.starts + np.arange(len(found.steps)), broken, "right") - 1
            broken = np.minimum(broken - episode, found.starts[episode] + found.steps[episode] - 1)
        raise UserError(f"{source} has {name} that are not finite, in {listed(np.unique(broken), 'step')}")
    return found


def listed(numbers: Iterable[int], what: str) -> str:
    """'steps 1, 2, 3, 4, 5 and 7 more'."""
    found = [int(number) for number in numbers]
    words = ", ".join(f"{number:,}" for number in found[:SHOWN])
    more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
    return f"{what}{'s' if len(found) > 1 else ''} {words}{more}"


def top(found: DataSet, share: float) -> DataSet:
    """The `share` in (0, 1] of the episodes with the highest returns, at least one, in the order of the set."""
    count = max(1, round(share * len(found.steps)))
    best = np.argsort(-found.returns(), kind="stable")[:count]
    return found.select(np.sort(best))


def at_least(found: DataSet, least: float) -> DataSet:
    """The episodes with a return of `least` or more.

    Raises:
      UserError: if there is none.
    """
    returns = found.returns()
    chosen = np.flatnonzero(returns >= least)
    if not len(chosen):
        raise UserError(f"no episode has a return of {least:g} or more: the highest is {returns.max():g}")
    return found.select(chosen)


def take(found: DataSet, steps: int) -> DataSet:
    """The first episodes that together have at least `steps` steps, or all."""
    enough = int(np.searchsorted(np.cumsum(found.steps), steps)) + 1
    return found.select(np.arange(min(enough, len(found.steps))))
