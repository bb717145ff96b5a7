import numpy as np
import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets.flat import from_fields
from tests.train.datasets.made import episodes, flat, same

ALL = ((4, "terminated"), (3, "truncated"), (5, "both"), (2, "cut off"))


def test_with_successors_every_end_is_what_it_was() -> None:
    made = episodes(*ALL)
    read = from_fields(flat(made, after=True), "set", None)
    same(made, read)
    assert "no end" in " ".join(read.notes)


def test_what_is_rounded_is_said() -> None:
    fields = flat(episodes(*ALL), after=True)
    assert not any("rounded" in note for note in from_fields(fields, "set", None).notes)
    wide = {name: fields[name].astype(np.float64) for name in ("observations", "actions", "rewards")}
    said = " ".join(from_fields(fields | wide, "set", None).notes)
    for name in wide:
        assert f"{name} are float64, and are rounded" in said
    whole = fields | {"rewards": np.arange(14)}
    assert not any("rounded" in note for note in from_fields(whole, "set", None).notes)
    large = fields | {"rewards": np.full(14, 2**24 + 1)}
    assert any("rewards are int64" in note for note in from_fields(large, "set", None).notes)


def test_a_limit_that_is_not_used_is_said() -> None:
    fields = flat(episodes(*ALL), after=True)
    assert any("limit is not used" in note for note in from_fields(fields, "set", 3).notes)
    assert not any("limit" in note for note in from_fields(fields, "set", None).notes)


def test_an_empty_hint_of_the_kind_of_actions_is_none() -> None:
    fields = flat(episodes(*ALL, actions=0), after=True)
    assert from_fields(fields | {"discrete_action": np.array([])}, "set", None).discrete


def test_without_successors_what_the_task_did_not_end_loses_its_last_step() -> None:
    made = episodes(*ALL)
    read = from_fields(flat(made, after=False), "set", None)
    assert read.steps.tolist() == [4, 2, 5, 1]
    # The last observation that is stored is the one after the last step that is kept.
    np.testing.assert_array_equal(read.observations[5:8], made.observations[5:8])
    np.testing.assert_array_equal(read.rewards, made.rewards[[0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]])
    assert "2 episodes" in " ".join(read.notes)


def test_without_timeouts_a_successor_that_is_not_the_next_row_is_an_end() -> None:
    made = episodes((4, "terminated"), (3, "truncated"), (5, "terminated"))
    fields = flat(made, after=True)
    del fields["timeouts"]
    same(made, from_fields(fields, "set", None))


def test_without_timeouts_and_successors_the_limit_must_be_told() -> None:
    made = episodes((4, "terminated"), (3, "truncated"), (3, "truncated"), (2, "terminated"), (3, "truncated"))
    fields = flat(made, after=False)
    told = from_fields(fields, "set", None)
    del fields["timeouts"]
    with pytest.raises(UserError, match="--limit"):
        from_fields(fields, "set", None)
    # The first episode is longer than the limit of 3 would allow, so it is cut there too: the limit is the user's word.
    read = from_fields(fields, "set", 5)
    assert read.steps.tolist() == [4, 4, 3, 2]  # two episodes at a limit of 3 look like one of 5 and a rest of 1 + 2
    assert from_fields(fields, "set", 0).steps.tolist() == [4, 8, 2]
    assert told.steps.tolist() == [4, 2, 2, 2, 2]


def test_a_limit_ends_what_the_task_does_not() -> None:
    terminals = np.array([0, 0, 0, 0, 1, 0, 0, 0, 0, 0], bool)
    fields = {
        "observations": np.arange(10.0, dtype=np.float32)[:, None],
        "actions": np.zeros((10, 1), np.float32),
        "rewards": np.arange(10.0, dtype=np.float32),
        "terminals": terminals,
    }
    read = from_fields(fields, "set", 3)
    # Rows 0 to 2 and 5 to 7 reach the limit, 3 and 4 the task's end, 8 and 9 the end of the file.
    assert read.steps.tolist() == [2, 2, 2, 1]
    assert read.terminated.tolist() == [False, True, False, False]
    assert read.truncated.tolist() == [True, False, True, False]
    assert read.rewards.tolist() == [0, 1, 3, 4, 5, 6, 8]


def test_d3rlpy_marks_the_row_before_the_end_too() -> None:
    made = episodes((4, "terminated"), (3, "truncated"), actions=0)
    fields = flat(made, after=False)
    ends = fields["terminals"] | fields.pop("timeouts")
    fields["terminals"][2] = True
    fields |= {"episode_terminals": ends.astype(np.float32), "discrete_action": np.array(True)}
    read = from_fields(fields, "set", None)
    assert read.steps.tolist() == [4, 2]
    assert read.terminated.tolist() == [True, False]
    assert read.discrete


def test_ogbench_has_the_final_observation_as_a_row() -> None:
    made = episodes((4, "truncated"), (3, "truncated"))
    ends = np.zeros(9, bool)
    ends[[4, 8]] = True
    filled = np.array([0, 1, 2, 3, 3, 4, 5, 6, 6])  # the last row's action and reward mean nothing
    fields = {
        "observations": made.observations,
        "actions": made.actions[filled],
        "rewards": made.rewards[filled],
        "terminals": ends,
        "masks": np.ones(9),
    }
    same(made, from_fields(fields, "set", None))
    fields["masks"] = np.array([1, 1, 1, 0, 1, 1, 1, 1, 1])  # the task ended in row 3, and nothing is worth more there
    read = from_fields(fields, "set", None)
    assert read.terminated[0] and read.steps[0] == 4


def test_imitation_does_not_tell_ends_apart() -> None:
    made = episodes((4, "terminated"), (6, "truncated"), (2, "cut off"))
    fields = {
        "obs": made.observations,
        "acts": made.actions,
        "rews": made.rewards,
        "terminal": np.array([True, True, False]),
        "indices": np.array([4, 10]),
        "infos": np.zeros(12),
    }
    with pytest.raises(UserError, match="--limit"):
        from_fields(fields, "set", None)
    same(made, from_fields(fields, "set", 6))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rewards": None}, "no rewards"),
        ({"rewards": np.zeros(5)}, "5 rows of rewards and 14 of observations"),
        ({"observations": np.zeros((14, 3, 3))}, "shape"),
        ({"observations": np.array(["a"] * 14)}, "type"),
        ({"terminals": np.full(14, 0.5)}, "neither 0 nor 1"),
        ({"actions": np.arange(14) - 5}, "choices"),
        ({"actions": np.zeros((14, 2, 2))}, "shape"),
        ({"rewards": np.zeros((14, 2))}, "one number a row"),
        ({"next_observations": np.zeros((14, 4))}, None),
        ({name: np.zeros((0, 3)) for name in ("observations", "actions")} | {"rewards": np.zeros(0)}, "empty"),
    ],
)
def test_what_does_not_fit_is_one_line(change: dict[str, np.ndarray | None], words: str | None) -> None:
    fields = flat(episodes(*ALL), after=True)
    for name, array in change.items():
        fields.pop(name)
        if array is not None:
            fields[name] = array
    with pytest.raises((UserError, ValueError), match=words) as caught:
        from_fields(fields, "set", None)
    assert isinstance(caught.value, UserError) and "\n" not in str(caught.value)
