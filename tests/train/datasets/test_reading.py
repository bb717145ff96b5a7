import dataclasses
import json
import pathlib
import zipfile
from typing import Any

import numpy as np
import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import minari_format, reading, writing
from tests.reference import REFERENCE
from tests.train.datasets.made import episodes, flat, same

h5py = pytest.importorskip("h5py")
PICKLED = b"\x80\x04]\x94."  # of an empty list
KINDS = ((4, "terminated"), (3, "truncated"), (5, "both"), (2, "cut off"))


@pytest.fixture(autouse=True)
def _own_root(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(minari_format.ROOT, str(tmp_path / "minari"))


@pytest.mark.parametrize("out", ["{}/set.npz", "{}/set.hdf5", "task/set-v0"])
@pytest.mark.parametrize("actions", [0, 2])
def test_what_is_written_is_read_again(out: str, actions: int, tmp_path: pathlib.Path) -> None:
    if out.startswith("task"):
        pytest.importorskip("minari")
    made = episodes(*KINDS, actions=actions)
    place = writing.write(made, out.format(tmp_path))
    for source in (out.format(tmp_path), str(place)):
        read = reading.read(source)
        same(made, read)
        assert read.checksum() == made.checksum()


@pytest.mark.parametrize("form", ["hdf5", "arrow", "parquet"])
@pytest.mark.parametrize("discrete", [False, True])
def test_sets_that_minari_wrote_are_read(form: str, discrete: bool) -> None:
    minari = pytest.importorskip("minari")
    import gymnasium

    made = episodes(*KINDS, actions=0 if discrete else 2)
    buffers = []
    for i, (start, steps) in enumerate(zip(made.starts, made.steps, strict=True)):
        ends = np.zeros((2, steps), bool)
        ends[:, -1] = made.terminated[i], made.truncated[i]
        rows = slice(start, start + steps)
        buffers.append(
            minari.data_collector.EpisodeBuffer(
                id=i,
                observations=made.observations[start + i : start + i + steps + 1],
                actions=made.actions[rows],
                rewards=made.rewards[rows],
                terminations=ends[0],
                truncations=ends[1],
            )
        )
    space = gymnasium.spaces
    with pytest.warns(UserWarning):
        minari.create_dataset_from_buffers(
            "task/set-v0",
            buffers,
            observation_space=space.Box(-np.inf, np.inf, (3,), np.float32),
            action_space=space.Discrete(3) if discrete else space.Box(-1.0, 1.0, (2,), np.float32),
            data_format=form,
        )
    read = reading.read("task/set-v0")
    same(made, read)
    assert read.action_size == (3 if discrete else 2)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_an_episode_whose_rows_minari_mixes_up_is_refused(form: str, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.dataset

    folder = tmp_path / "data"

    def put(episode: int, steps: int, said: int) -> None:  # files as Minari 0.5.4 writes them
        place = folder / str(episode)
        place.mkdir(parents=True, exist_ok=True)
        obs = np.arange(steps + 1, dtype=np.float32)[:, None] + episode
        padded = np.zeros(steps + 1, bool)
        ends = padded.copy()
        ends[steps - 1] = True
        column = pyarrow.FixedSizeListArray.from_arrays(obs.reshape(-1), 1)
        batch = {"observations": column, "actions": column, "rewards": obs[:, 0], "terminations": ends}
        rows = pyarrow.RecordBatch.from_pydict(batch | {"truncations": padded})
        name = "part-{i}." + form
        pyarrow.dataset.write_dataset(
            rows, place, format=form, basename_template=name, existing_data_behavior="overwrite_or_ignore"
        )
        (place / "metadata.json").write_text(json.dumps({"id": episode, "total_steps": said}))

    box = json.dumps({"type": "Box", "dtype": "float32", "shape": [1], "low": [-1.0], "high": [1.0]})
    folder.mkdir()
    meta = {"data_format": form, "observation_space": box, "action_space": box}
    (folder / "metadata.json").write_text(json.dumps(meta))
    for episode, steps in ((2, 50), (10, 32_766), (0, 100)):
        put(episode, steps, steps)
    read = reading.read(str(tmp_path))
    assert read.steps.tolist() == [100, 50, 32_766]
    np.testing.assert_array_equal(read.observations[-32_767:, 0], np.arange(32_767) + 10)
    put(2, 200_000, 200_000)
    with pytest.raises(UserError, match="200,000 steps: Minari mixes up"):
        reading.read(str(tmp_path))
    put(2, 50, 51)
    with pytest.raises(UserError, match="cut off"):
        reading.read(str(tmp_path))


@pytest.mark.parametrize("out", ["{}/set.npz", "{}/set.hdf5", "task/set-v0"])
def test_long_episodes_survive_in_what_is_written(out: str, tmp_path: pathlib.Path) -> None:
    if out.startswith("task"):
        pytest.importorskip("minari")
    made = episodes((200_000, "truncated"), (7, "terminated"))
    same(made, reading.read(str(writing.write(made, out.format(tmp_path)))))


def test_a_minari_set_is_there_whole_or_not_at_all(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    monkeypatch.setenv(minari_format.ROOT, str(tmp_path))
    made, real = episodes(*KINDS), minari.create_dataset_from_buffers

    def interrupted(*args: Any, **options: Any) -> None:
        real(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(minari, "create_dataset_from_buffers", interrupted)
        writing.write(made, "some/names/set-v0")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    for name in ("some/names/set-v0", "some/names/set-v1", "set-v0"):
        writing.write(made, name)
    assert set(minari.list_local_datasets()) == {"some/names/set-v0", "some/names/set-v1", "set-v0"}
    assert minari.load_dataset("some/names/set-v1").total_episodes == len(made.steps)
    assert {path.name for path in tmp_path.iterdir()} == {"some", "set-v0"}
    said = tmp_path / "set-v0" / "data" / "metadata.json"
    said.write_text(said.read_text().replace('"total_episodes": 4', '"total_episodes": 5'))
    with pytest.raises(UserError, match="says that it has 5 episodes, and has 4"):
        reading.read("set-v0")


def test_log_probabilities_travel(tmp_path: pathlib.Path) -> None:
    made = dataclasses.replace(episodes(*KINDS), log_probs=np.arange(14, dtype=np.float32), about={"env": "x"})
    outs = [f"{tmp_path}/set.npz", f"{tmp_path}/set.hdf5"]
    try:
        import minari  # noqa: F401
    except ImportError:
        pass
    else:
        outs.append("task/set-v0")
    for out in outs:
        read = reading.read(str(writing.write(made, out)))
        np.testing.assert_array_equal(read.log_probs, made.log_probs, err_msg=out)
        assert read.about["env"] == "x"


def bad_files(folder: pathlib.Path) -> dict[str, str]:
    """Files that cannot be read, and a word of what is said of each."""
    fields: Any = flat(episodes(*KINDS), after=True)
    broken: Any = fields | {"observations": np.where(np.arange(14)[:, None] % 5 == 1, np.nan, fields["observations"])}
    np.savez(folder / "nan.npz", **broken)
    np.savez(folder / "object.npz", **(fields | {"actions": np.array([{}] * 14, object)}))
    np.savez(folder / "infinite.npz", **(fields | {"rewards": np.where(np.arange(14) == 3, np.inf, 0.0)}))
    np.savez(folder / "missing.npz", **{k: v for k, v in fields.items() if k != "terminals"})
    (folder / "pickled.pkl").write_bytes(PICKLED)
    (folder / "pickled.npz").write_bytes(PICKLED)
    (folder / "text.csv").write_text("a,b\n1,2\n")
    (folder / "empty.npz").write_bytes(b"")
    whole = folder / "whole.hdf5"
    with h5py.File(whole, "w") as file:
        for name, array in fields.items():
            file[name] = np.repeat(array, 1000, axis=0)
    (folder / "truncated.hdf5").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with h5py.File(folder / "groups.hdf5", "w") as file:
        for name in fields:
            file.create_group(name)
    with zipfile.ZipFile(folder / "other.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    cut = (folder / "nan.npz").read_bytes()
    (folder / "cut.npz").write_bytes(cut[: len(cut) // 2])
    (folder / "folder").mkdir()
    spoilt = folder / "spoilt" / "data"
    spoilt.mkdir(parents=True)
    (spoilt / "metadata.json").write_text("{}")
    nothing, own = np.zeros((14, 0), np.float32), {"episode_steps": np.array([14])}
    own |= {"final_observations": np.zeros((1, 3), np.float32)}
    silent = fields | {name: np.zeros(14, bool) for name in ("terminals", "timeouts")}
    for name, changed in {
        "no_action": {"actions": nothing},
        "no_observation": {"observations": nothing, "next_observations": nothing},
        "choices": {"actions": np.full(14, 10**9)},
        "large": {"actions": np.full(14, 2**32 + 1)},
        "within": own,
        "bounds": silent | own | {"action_bounds": np.zeros(7)},
        "no_bounds": silent | own | {"action_bounds": np.full((2, 2), np.nan)},
    }.items():
        np.savez(folder / f"{name}.npz", **(fields | changed))
    return {
        "no_action.npz": "actions of shape (14, 0)",
        "no_observation.npz": "observations of shape (14, 0)",
        "choices.npz": "a choice 1,000,000,000",
        "large.npz": "a choice 4,294,967,297",
        "within.npz": "terminals or timeouts within its episodes",
        "bounds.npz": "action_bounds of shape (7,)",
        "no_bounds.npz": "action_bounds",
        "nan.npz": "observations that are not finite, in steps 1, 6, 11",
        "infinite.npz": "rewards that are not finite, in step 3",
        "object.npz": "pickle",
        "missing.npz": "no terminals",
        "pickled.pkl": "pickle",
        "pickled.npz": "pickle",
        "text.csv": "none of the known formats",
        "empty.npz": "none of the known formats",
        "truncated.hdf5": "cannot be read",
        "groups.hdf5": "group",
        "other.npz": "has no observations",
        "cut.npz": "is cut off or damaged",
        "folder": "without a Minari set",
        "spoilt": "metadata.json",
        "none/such-v0": "no Minari set of that id",
    }


def test_what_cannot_be_read_is_one_line(tmp_path: pathlib.Path) -> None:
    for name, words in bad_files(tmp_path).items():
        source = name if name.startswith("none") else str(tmp_path / name)
        with pytest.raises(UserError) as caught:
            reading.read(source)
        assert words in str(caught.value) and "\n" not in str(caught.value), (name, str(caught.value))


SETS = REFERENCE / "data_sets"


@pytest.mark.skipif(not SETS.is_dir(), reason="the reference data sets are not here")
def test_sets_by_other_hands() -> None:
    door = reading.read(str(SETS / "minari" / "D4RL" / "door" / "human-v2"))
    assert (len(door.steps), len(door.rewards), int(door.truncated.sum())) == (25, 6729, 25)
    assert door.about["env"] == "AdroitHandDoor-v1"
    replay = reading.read(str(SETS / "cartpole_replay.h5"))
    assert len(replay.steps) == 1582
    # 134 episodes reach the limit; each lacks its last successor, so 199 rows are 198 steps; and the file ends in one.
    assert int(replay.truncated.sum()) == 134 and set(replay.steps[replay.truncated]) == {198, 81}
    assert replay.terminated.sum() == 1448
