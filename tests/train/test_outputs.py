"""Where data commands may write: never over what they read, and where nothing can be written they say so at once."""

import pathlib
import shutil
from typing import Any

import pytest

from awr_mjx.train import data, evaluate, record
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.console.files import replacing
from awr_mjx.train.datasets import minari_format, writing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine import recording
from tests.runs import here, refused
from tests.train.datasets.made import episodes
from tests.trained import make_run

SHOWN = ["--steps", 20, "--networks", 1]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a run of cartpole, `run`, a set for it, `set.npz`, and a link to that, `link.npz`."""
    found = tmp_path_factory.mktemp("outputs")
    make_run(found / "run", "cartpole")
    made = episodes((30, "terminated"), (20, "truncated"), size=4, actions=0)
    writing.write(DataSet(**{**vars(made), "actions": made.actions % 2}), str(found / "set.npz"))
    (found / "link.npz").symlink_to("set.npz")
    return found


@pytest.mark.parametrize("name", ["set.npz", "link.npz", "folder/../set.npz"])
def test_no_output_takes_the_place_of_what_is_read(place: pathlib.Path, name: str) -> None:
    (place / "folder").mkdir(exist_ok=True)
    before, run = (place / "set.npz").read_bytes(), ["--run", place / "run"]
    for args in (["inspect"], ["convert", "--take", 5], ["weigh", *run], ["fqe", *run, *SHOWN]):
        for read, out in (("set.npz", name), (name, "set.npz")):
            done = here(data.main, args[0], place / read, *args[1:], "--out", place / out)
            refused(done, f"--out {place / out}", "would be lost: name another file")
            assert (place / "set.npz").read_bytes() == before, args


def test_nor_that_of_a_part_of_it_or_of_another_output(place: pathlib.Path) -> None:
    whole = place / "whole-v0" / "data"
    whole.mkdir(parents=True)
    refused(here(data.main, "convert", whole.parent, "--out", whole / "other.npz"), "would be lost")
    both = ["--out", place / "x.png", "--png", place / "folder" / ".." / "x.png"]
    (place / "folder").mkdir(exist_ok=True)
    refused(here(data.main, "inspect", place / "set.npz", *both), "--out and --png are one file")
    refused(here(data.main, "inspect", place / "set.npz", "--png", place / "x.jpg"), "png must end in .png, not .jpg")
    assert not list(place.glob("x.*"))


def test_nor_that_of_what_a_run_goes_on_from(place: pathlib.Path) -> None:
    own = place / "run" / "config.json"
    before = own.read_bytes()
    refused(here(data.main, "fqe", place / "set.npz", "--run", place / "run", "--out", own), "is the run's own")
    refused(here(evaluate.main, "--run", place / "run", "--out", own), "is the run's own")
    assert own.read_bytes() == before


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded, and none of Minari's functions writes."""

    def play(*args: Any) -> None:
        raise AssertionError("it has begun to play")

    monkeypatch.setattr(recording.Recorder, "whole_episodes", play)


@pytest.mark.parametrize(
    "name", ["x", "cart/x", "my set-v0", "a/b/../../../x-v0", "../x-v0", "cart/-v0", "x-v", "a/x-v0", "cart//x-v0"]
)
def test_what_is_no_id_is_told_before_anything_is_played(
    place: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, idle: None, name: str
) -> None:
    monkeypatch.setenv(minari_format.ROOT, str(tmp_path / "root"))
    refused(here(data.main, "convert", place / "set.npz", "--out", name), f"{name} is n", "such as hopper/mixture-v0")
    refused(here(record.main, "--run", place / "run", "--steps", 8, "--out", name), f"{name} is n")
    assert not list(tmp_path.iterdir())


def test_a_root_that_cannot_be_written_in_is_told_before_anything_is_played(
    place: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, idle: None
) -> None:
    pytest.importorskip("minari")
    (tmp_path / "file").touch()
    for root in (tmp_path / "file", tmp_path / "file" / "below", pathlib.Path("/proc/none")):
        monkeypatch.setenv(minari_format.ROOT, str(root))
        for done in (
            here(data.main, "convert", place / "set.npz", "--out", "cart/x-v0"),
            here(record.main, "--run", place / "run", "--steps", 8, "--out", "cart/x-v0"),
        ):
            refused(done, f"cannot write in {root}", f"set {minari_format.ROOT} to another folder")


def test_a_disk_without_room_for_a_minari_set_is_told(
    place: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 crashes where it finds that out itself."""
    pytest.importorskip("minari")
    monkeypatch.setenv(minari_format.ROOT, str(tmp_path))
    asked = []

    def usage(path: pathlib.Path) -> Any:
        asked.append(path)
        return shutil._ntuple_diskusage(10**9, 10**9 - 10_000, 10_000)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", usage)
        done = here(data.main, "convert", place / "set.npz", "--out", "cart/x-v0")
        refused(done, "the set needs 0.3 MB, and 0.0 MB are free")
    assert asked and not list(tmp_path.iterdir())
    assert here(data.main, "convert", place / "set.npz", "--out", "cart/x-v0").returncode == 0
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    assert 0.02e6 < size < 0.3e6  # what was asked for is enough


def test_what_hdf5_says_of_a_full_disk_is_brought_down_to_that(tmp_path: pathlib.Path) -> None:
    said = "Can't write data (time = Sat, errno = 28, error message = 'No space left on device', buf = 0x55)"
    with (
        pytest.raises(UserError, match=r"x.hdf5: Can't write data: No space left on device$"),
        replacing(tmp_path / "x.hdf5"),
    ):
        raise OSError(said)
