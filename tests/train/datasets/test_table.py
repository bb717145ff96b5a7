import pathlib

import numpy as np
import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import minari_format, table

COLUMNS = {"episode": np.array([0, 0, 1]), "weight": np.array([0.5, 20.0, 1.25], np.float32)}


def test_columns_come_back(tmp_path: pathlib.Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for suffix in table.SUFFIXES:
        place = tmp_path / f"found{suffix}"
        table.check_place(place)
        assert not place.exists()
        table.write(COLUMNS, place)
        if suffix == ".npz":
            seen = dict(np.load(place))
        else:
            seen = {name: column.to_numpy() for name, column in zip(COLUMNS, parquet.read_table(place), strict=True)}
        assert seen.keys() == COLUMNS.keys()
        for name, column in COLUMNS.items():
            np.testing.assert_array_equal(seen[name], column)
            assert seen[name].dtype == column.dtype
    assert len(list(tmp_path.iterdir())) == 2


def test_bad_places_are_refused(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"found\.csv is neither NAME\.npz nor NAME\.parquet"):
        table.check_place(tmp_path / "found.csv")
    with pytest.raises(UserError, match="name another file with --out"):
        table.check_place(tmp_path / "nowhere" / "found.npz")

    def absent(name: str) -> None:
        raise UserError(f"{name} is not installed")

    monkeypatch.setattr(minari_format, "package", absent)
    with pytest.raises(UserError, match="pyarrow is not installed"):
        table.check_place(tmp_path / "found.parquet")
    table.check_place(tmp_path / "found.npz")
