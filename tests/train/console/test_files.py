"""Files that appear whole or not at all."""

import pathlib

import pytest

from train.console.errors import UserError
from train.console.files import replacing


def test_replacing(tmp_path: pathlib.Path) -> None:
    out = tmp_path / "file"
    out.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(out) as part:
        part.write_text("ne")
        raise KeyboardInterrupt
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]
    with replacing(out) as part:
        part.write_text("new")
        assert out.read_text() == "old"
    assert [p.read_text() for p in tmp_path.iterdir()] == ["new"]
    with pytest.raises(UserError, match="it is a folder"), replacing(tmp_path):
        pass
    with pytest.raises(UserError, match="Not a directory"), replacing(out / "below"):
        pass
