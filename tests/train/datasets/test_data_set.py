import dataclasses
import re

import numpy as np
import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets import data_set
from awr_mjx.train.datasets.data_set import checked
from tests.train.datasets.made import episodes, same

KINDS = ((4, "terminated"), (3, "truncated"), (5, "both"), (2, "cut off"))


def test_selecting_takes_whole_episodes() -> None:
    made = episodes(*KINDS)
    two = made.select(np.array([2, 0]))
    assert two.steps.tolist() == [5, 4]
    np.testing.assert_array_equal(two.observations[:6], made.observations[9:15])
    np.testing.assert_array_equal(two.observations[6:], made.observations[:5])
    np.testing.assert_array_equal(two.rewards, np.r_[made.rewards[7:12], made.rewards[:4]])
    same(made, made.select(np.arange(4)))
    assert made.checksum() != two.checksum()


def test_sets_are_joined_and_taken_apart_again() -> None:
    one, other = episodes(*KINDS, seed=1), episodes(*KINDS, seed=2)
    both = data_set.joined([one, other])
    same(one, both.select(np.arange(4)))
    same(other, both.select(np.arange(4, 8)))
    with pytest.raises(UserError, match="do not fit"):
        data_set.joined([one, episodes(*KINDS, size=4)])
    with pytest.raises(UserError, match="do not fit"):
        data_set.joined([one, episodes(*KINDS, actions=0)])


def test_filters_keep_whole_episodes() -> None:
    made = episodes(*KINDS)
    rewards = np.repeat([1.0, 4.0, 2.0, 3.0], made.steps) / np.repeat(made.steps, made.steps)
    made = dataclasses.replace(made, rewards=rewards.astype(np.float32))  # returns 1, 4, 2, 3
    np.testing.assert_allclose(made.returns(), [1, 4, 2, 3], atol=1e-6)
    assert data_set.top(made, 0.5).steps.tolist() == [3, 2]
    assert data_set.top(made, 0.01).steps.tolist() == [3]
    assert data_set.at_least(made, 1.5).steps.tolist() == [3, 5, 2]
    assert data_set.take(made, 5).steps.tolist() == [4, 3]
    assert data_set.take(made, 4).steps.tolist() == [4]
    assert data_set.take(made, 1000).steps.tolist() == [4, 3, 5, 2]
    with pytest.raises(UserError, match="highest is 4"):
        data_set.at_least(made, 5.0)


def test_a_number_that_is_not_finite_is_named_by_its_step() -> None:
    made = episodes(*KINDS)
    observations = made.observations.copy()
    observations[4] = np.nan  # after the last step of the first episode, which is step 3
    observations[5] = np.inf  # what step 4 acts on
    with pytest.raises(UserError, match="observations that are not finite, in steps 3, 4"):
        data_set.checked(dataclasses.replace(made, observations=observations), "set")


def test_numbers_whose_squares_overflow_are_refused() -> None:
    made = episodes((5, "terminated"), (4, "truncated"))
    for name in ("observations", "actions", "rewards"):
        for most in (3e38, -2e15):
            array = getattr(made, name).copy()
            array.flat[7] = most
            with pytest.raises(
                UserError, match=rf"x.npz has {name} as large as {re.escape(f'{abs(most):.3g}')}: beyond 1e\+15"
            ):
                checked(dataclasses.replace(made, **{name: array}), "x.npz")
    array = made.rewards.copy()
    array[7] = -9e14
    checked(dataclasses.replace(made, rewards=array), "x.npz")
