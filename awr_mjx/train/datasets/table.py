"""Columns of numbers beside a set's steps, as a file."""

import importlib
import pathlib
from collections.abc import Mapping
from typing import Any

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import check_writable, replacing, write_npz
from awr_mjx.train.datasets import minari_format

SUFFIXES = (".npz", ".parquet")


def check_place(out: pathlib.Path) -> None:
    """Makes sure, before long work, that columns can be written as `out`.

    Raises:
      UserError: if they cannot.
    """
    if out.suffix not in SUFFIXES:
        raise UserError(f"--out {out} is neither NAME.npz nor NAME.parquet")
    if out.suffix == ".parquet":
        minari_format.package("pyarrow")
    check_writable(out, "name another file with --out")


def write(columns: Mapping[str, Any], out: pathlib.Path) -> None:
    """Writes the columns, arrays [R] by name, as arrays of an npz file or as a Parquet table.

    Raises:
      UserError: if the file cannot be written.
    """
    if out.suffix == ".npz":
        write_npz(out, columns)
        return
    arrow = minari_format.package("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    with replacing(out) as part:
        parquet.write_table(arrow.table(dict(columns)), part)
