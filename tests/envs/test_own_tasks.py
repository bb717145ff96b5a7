"""Tasks of installed packages, which their entry points name."""

import pathlib
import sys

import pytest

from awr_mjx.envs import own_tasks, registry
from awr_mjx.envs.base import UnknownTask

CODE = """
from awr_mjx.envs import registry
from tests.tasks import Chain
registry.register("theirs/chain", Chain)
"""


@pytest.fixture
def package(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An installed package, whose module is written by the test."""
    about = tmp_path / "theirs-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[awr_mjx.tasks]\ntasks = their_tasks\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own_tasks, "_imported", set())
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    monkeypatch.delitem(sys.modules, "their_tasks", raising=False)
    return tmp_path / "their_tasks.py"


def test_a_package_brings_its_tasks(package: pathlib.Path) -> None:
    package.write_text(CODE)
    assert registry.make("theirs/chain").observation_size == 4
    assert "theirs/chain" in registry.names()


def test_one_that_cannot_be_imported_is_named_and_keeps_nobody_from_ours(package: pathlib.Path) -> None:
    package.write_text("raise ZeroDivisionError('no\\nway')")
    registry.find("cartpole")
    with pytest.raises(UnknownTask, match=r"tasks of package theirs \(their_tasks\): ZeroDivisionError: no"):
        registry.find("theirs/chain")
