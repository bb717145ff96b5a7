"""Which logged data to learn from, and what of them."""

import dataclasses
import math
from typing import Annotated

import numpy as np
import tyro

from awr_mjx.train.console import errors
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import data_set, reading, summary
from awr_mjx.train.datasets.data_set import DataSet

WEIGHT_MOST = 1e9  # of a set
BEYOND = 1e-3  # of half the range: how far an action may lie beyond its bound before it is not what the task knows


@dataclasses.dataclass(frozen=True)
class Filter:
    """What of a set is wanted: min_return first, then top, then take."""

    limit: int | None = None
    """The time limit of a set's task in steps, where it does not say what a time limit ended; 0: there was none."""
    top: float = 1.0
    """Keep this share of its episodes, those with the highest returns, in (0, 1]."""
    min_return: float | None = None
    """Keep episodes with at least this return."""
    take: int = 0
    """Keep the first episodes that have this many steps together; 0: all."""

    def validate(self) -> None:
        """Raises UserError for what makes no sense."""
        if not 0 < self.top <= 1:
            raise UserError(f"top must be a share above 0 and up to 1, not {self.top}")
        if self.take < 0:
            raise UserError(f"take must be a number of steps, or 0 for all, not {self.take}")
        if self.limit is not None and self.limit < 0:
            raise UserError(f"limit must be a time limit in steps, or 0 if there was none, not {self.limit}")
        if self.min_return is not None and not math.isfinite(self.min_return):
            raise UserError(f"min_return must be a number, not {self.min_return}")

    def read(self, source: str) -> DataSet:
        """Reads the set, says what had to be assumed, and keeps what is wanted of it.

        Raises:
          UserError: if it cannot be read, or nothing of it is left.
        """
        self.validate()
        found = reading.read(source, self.limit)
        errors.warn([f"{source}: {note}" for note in found.notes])
        if self.min_return is not None:
            found = data_set.at_least(found, self.min_return)
        if self.top < 1:
            found = data_set.top(found, self.top)
        return data_set.take(found, self.take) if self.take else found


@dataclasses.dataclass(frozen=True)
class Logged:
    """Learning from logged data alone."""

    data: tuple[str, ...] = ()
    """Learn from these sets and collect nothing: Minari sets (folder or id), HDF5 or npz files."""
    data_weights: tuple[float, ...] = ()
    """How often each set is drawn from, in any unit; as often as it has steps if not given."""
    filter: Annotated[Filter, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Filter)
    """What of each set."""
    clip_actions: bool = False
    """Clip the actions to their bounds, where some lie beyond."""
    action_scale: float = 0.0
    """The sets' action for the task's action 1; 0: as a set's own bounds say, or 1 where it has none."""
    held_out: float = 0.0
    """Share of the episodes on which likelihood and value error are measured instead of learning from them, below 1."""

    def __bool__(self) -> bool:
        """Whether there is anything to learn from."""
        return bool(self.data)

    def validate(self) -> None:
        """Raises UserError for what makes no sense."""
        self.filter.validate()
        if not self.data:
            changed = [*_changed(self.filter), *(name for name in _changed(self) if name != "filter")]
            if changed:
                raise UserError(
                    f"{changed[0]} is for learning from logged data alone: name a set with --data too (of a set for "
                    "--from, write what is wanted to another file with awr-mjx data convert)"
                )
            return
        if self.data_weights and len(self.data_weights) != len(self.data):
            raise UserError(
                f"data_weights has {len(self.data_weights)} numbers for {len(self.data)} sets: give as many"
            )
        if any(not 0 < weight <= WEIGHT_MOST for weight in self.data_weights):
            given = " ".join(map(str, self.data_weights))
            raise UserError(f"data_weights must be positive numbers up to {WEIGHT_MOST:g}, not {given}")
        if not 0 <= self.held_out < 1:
            raise UserError(f"held_out must be a share from 0 and below 1, not {self.held_out}")
        if not 0 <= self.action_scale < math.inf:
            raise UserError(f"action_scale must be a positive number, or 0 for the set's own, not {self.action_scale}")

    def placed(self) -> "Logged":
        """The same with whole paths, which stay right in another working directory and with another Minari root."""
        return dataclasses.replace(self, data=tuple(map(reading.whole_path, self.data)))

    def read(self) -> list[DataSet]:
        """The sets, with actions in units of [-1, 1] where they are not choices.

        Raises:
          UserError: if one cannot be read, they do not fit each other, or actions lie beyond their bounds.
        """
        sets = [self._with_units(self.filter.read(source), source) for source in self.data]
        data_set.joined(sets)
        return sets

    def _with_units(self, found: DataSet, source: str) -> DataSet:
        if found.discrete:
            return found
        actions = found.actions
        unbounded = found.action_bounds is not None and not np.isfinite(found.action_bounds).any()
        if self.action_scale:
            actions = actions / np.float32(self.action_scale)
        elif not unbounded:
            low, high = summary.bounds(found)
            if not (np.array_equal(low, -np.ones_like(low)) and np.array_equal(high, np.ones_like(high))):
                actions = (actions - low) / ((high - low) / 2) - 1
        beyond = (np.abs(actions) > 1 + BEYOND).any(axis=1)
        if self.clip_actions:
            actions = np.clip(actions, -1.0, 1.0)
        elif beyond.any() and not unbounded:
            most = float(np.abs(found.actions).max())
            raise UserError(
                f"{source} has actions beyond their bounds in {beyond.sum():,} of {len(beyond):,} steps (up to "
                f"{most:.4g}): give --clip_actions, or --action_scale {most:.4g} if that is the task's action 1"
            )
        return dataclasses.replace(found, actions=np.ascontiguousarray(actions, np.float32))


def _changed(options: Filter | Logged) -> list[str]:
    """The names of the options that are not as they are without being given."""
    return [f.name for f in dataclasses.fields(options) if getattr(options, f.name) != getattr(type(options)(), f.name)]


def refuse_other_sizes(found: DataSet, source: str, task: str, size: int, actions: int, discrete: bool) -> None:
    """Raises UserError unless a set has the task's observations of `size` numbers and `actions` actions."""
    if found.observation_size != size:
        raise UserError(
            f"{source} has observations of {found.observation_size} numbers, and task {task!r} of {size}: is it of "
            "another task, or of another option of this one (--env.full_obs true)?"
        )
    kind, wanted = ("choices" if one else "numbers" for one in (found.discrete, discrete))
    fits = found.action_size <= actions if discrete else found.action_size == actions
    if found.discrete != discrete or not fits:
        raise UserError(f"{source} has actions of {found.action_size} {kind}, and task {task!r} of {actions} {wanted}")


def split(
    sets: list[DataSet], share: float, seed: int, instead: str = "give --held_out 0"
) -> tuple[list[DataSet], list[DataSet]]:
    """The sets to learn from, and what is held out of each: a `share` of its episodes, by chance.

    Raises:
      UserError: if a set has too few episodes for that, with what to do `instead`.
    """
    if not share:
        return sets, []
    kept, held = [], []
    for found in sets:
        count = max(1, round(share * len(found.steps)))
        if count >= len(found.steps):
            episodes = "an episode" if len(found.steps) == 1 else f"{len(found.steps)} episodes"
            raise UserError(f"a set of {episodes} is too small to hold {share:g} of them out: {instead}")
        order = np.random.default_rng(seed).permutation(len(found.steps))
        held.append(found.select(np.sort(order[:count])))
        kept.append(found.select(np.sort(order[count:])))
    return kept, held
