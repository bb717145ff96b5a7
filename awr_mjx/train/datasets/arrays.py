"""Arrays of a file as what a set is made of, or one line that says why they are not."""

from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError

MOST_CHOICES = 65_536  # of a discrete action: there is a network output for each


def as_observations(array: Any, source: object, name: str, notes: list[str]) -> np.ndarray:
    """Observations as float32 [R, O]; a note is added to `notes` where that rounds."""
    found = as_numbers(array, source, name)
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2 or not found.shape[1]:
        raise UserError(f"{source} has {name} of shape {found.shape}: rows of numbers are wanted, [rows, numbers]")
    return as_float32(found, name, notes)


def as_float32(array: np.ndarray, name: str, notes: list[str]) -> np.ndarray:
    """The array in float32, with a note where that rounds."""
    found = np.ascontiguousarray(array, np.float32)
    rounds = array.dtype == np.float64 or (array.dtype.kind in "iu" and (found.astype(np.float64) != array).any())
    if rounds:
        notes.append(f"{name} are {array.dtype}, and are rounded to float32")
    return found


def as_actions(found: np.ndarray, source: object, discrete: bool | None, notes: list[str]) -> np.ndarray:
    """Actions as float32 [R, A] or int32 [R]; integers are choices unless `discrete` says otherwise.

    Where they are rounded, a note is added to `notes`.

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
        if len(found) and found.max() >= MOST_CHOICES:
            raise UserError(
                f"{source} has a choice {found.max():,}, and {MOST_CHOICES:,} are the most: store numbers as float32"
            )
        return found.astype(np.int32)
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2 or not found.shape[1]:
        raise UserError(f"{source} has actions of shape {found.shape}: rows of numbers are wanted, or whole numbers")
    return as_float32(found, "actions", notes)


def as_numbers(array: Any, source: object, name: str) -> np.ndarray:
    """The array of numbers; flags become 0 and 1.

    Raises:
      UserError: if it holds anything else.
    """
    found = np.asarray(array)
    if found.dtype == bool:
        found = found.astype(np.int64)
    if not np.issubdtype(found.dtype, np.number) or np.iscomplexobj(found) or found.ndim == 0:
        shape = f"type {found.dtype} and shape {found.shape}"
        raise UserError(f"{source} has {name} of {shape}: rows of numbers are wanted")
    return found


def as_column(array: Any, source: object, name: str) -> np.ndarray:
    """The numbers as one a row, [R]."""
    found = as_numbers(array, source, name)
    if found.size != found.shape[0]:
        raise UserError(f"{source} has {name} of shape {found.shape}: one number a row is wanted")
    return found.reshape(-1)


def as_flags(array: Any, source: object, name: str, rows: np.ndarray) -> np.ndarray:
    """The array as bool [R], R as in `rows`."""
    found = as_column(array, source, name)
    refuse_other_rows(found, rows, name, source)
    if not np.isin(found, (0, 1)).all():
        raise UserError(f"{source} has {name} that are neither 0 nor 1")
    return found.astype(bool)


def refuse_other_rows(array: np.ndarray, rows: np.ndarray, name: str, source: object) -> None:
    """Raises UserError unless `array` has as many rows as `rows`."""
    if len(array) != len(rows):
        raise UserError(f"{source} has {len(array):,} rows of {name} and {len(rows):,} of observations")
