"""Logged data from files: which format it is, and what of it is wanted."""

import pathlib
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import minari_format
from awr_mjx.train.datasets.data_set import DataSet, checked
from awr_mjx.train.datasets.flat import from_fields

KNOWN = "a Minari set (its folder or id), an HDF5 file (D4RL, d3rlpy 1.x) or an npz file"
PICKLE = "a pickle can run any program when it is read, and is never read here"


def read(source: str, limit: int | None = None) -> DataSet:
    """The set that `source` names: a path, or the id of a Minari set that is on this machine.

    Nothing is unpickled, and no network is touched.

    Args:
      source: the path or id.
      limit: the time limit of its task in steps, where it does not say where one ended an episode; 0: there was none.

    Raises:
      UserError: with one line that says what is wrong and what to write instead.
    """
    if limit is not None and limit < 0:
        raise UserError(f"limit must be a time limit in steps, or 0 if there was none, not {limit}")
    try:
        return checked(_found(source, limit), source)
    except MemoryError as error:
        raise UserError(f"{source} does not fit in the memory that is free: {error}") from error


def _found(source: str, limit: int | None) -> DataSet:
    path = pathlib.Path(source)
    if path.is_dir():
        folder = minari_format.folder_of(path)
        if folder is None:
            raise UserError(f"{path} is a folder without a Minari set: give {KNOWN}")
        return minari_format.read(folder)
    if not path.exists():
        return minari_format.read(_minari_set(source))
    if not path.is_file():
        raise UserError(f"{path} is no file: give {KNOWN}")
    if path.name == "main_data.hdf5" and (path.parent / "metadata.json").is_file():
        return minari_format.read(path.parent)
    return _file(path, limit)


def refuse_missing(source: str) -> None:
    """Raises UserError if there is no file, no folder and no Minari set of that name; nothing is read."""
    if not pathlib.Path(source).exists():
        _minari_set(source)


def _minari_set(source: str) -> pathlib.Path:
    """The folder of the Minari set with the id `source`."""
    folder = minari_format.folder_of(minari_format.root() / source)
    if folder:
        return folder
    if not minari_format.ID.fullmatch(source):
        raise UserError(f"there is no file {source}")
    raise UserError(
        f"there is no file {source}, and no Minari set of that id in {minari_format.root()} (fetch one with "
        f"`minari download {source}`, or set {minari_format.ROOT})"
    )


def _file(path: pathlib.Path, limit: int | None) -> DataSet:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if start.startswith(b"\x89HDF"):
        h5py = minari_format.package("h5py")
        try:
            with h5py.File(path) as opened:
                return from_fields(_Hdf5(opened), path, limit)
        except UserError:
            raise
        except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
            raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if start.startswith(b"PK"):
        try:
            # (NumPy leaves a file that it opens itself open where it is no archive.)
            with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
                return from_fields(_Npz(opened, path), path, limit)
        except UserError:
            raise
        except zipfile.BadZipFile as error:
            raise UserError(f"{path} is cut off or damaged: {error}") from error
        except (OSError, ValueError, KeyError, EOFError, TypeError, RuntimeError) as error:
            raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
    if start[:1] == b"\x80" or path.suffix in (".pkl", ".pickle"):
        raise UserError(f"{path} is a pickle: {PICKLE}; save its arrays with numpy.savez as {KNOWN}")
    raise UserError(f"{path} is none of the known formats: give {KNOWN}")


class _Hdf5(Mapping[str, Any]):
    """The arrays at the top of an HDF5 file, read when they are asked for."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getitem__(self, name: str) -> Any:
        found = self._file[name]
        if not hasattr(found, "shape"):
            raise UserError(f"{self._file.filename} has a group {name} where rows of numbers are wanted")
        return found[()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._file)

    def __len__(self) -> int:
        return len(self._file)


class _Npz(Mapping[str, Any]):
    """The arrays of an npz file, read when they are asked for."""

    def __init__(self, file: Any, path: pathlib.Path) -> None:
        self._file, self._path = file, path

    def __getitem__(self, name: str) -> Any:
        try:
            return self._file[name]
        except ValueError as error:
            if "allow_pickle" in str(error):
                raise UserError(f"{self._path} has {name} as a pickle: {PICKLE}; save it as an array") from error
            raise

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.files)

    def __len__(self) -> int:
        return len(self._file.files)


def whole_path(source: str) -> str:
    """The path of what `source` names, if it is on this machine; else `source`."""
    for path in (pathlib.Path(source), minari_format.root() / source):
        if path.exists():
            return str(path.absolute())
    return source
