"""Recordings: whole episodes of the policies that were asked for, as the task plays them, and none too often."""

import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.train import record
from awr_mjx.train.datasets import reading
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.player import load_policy
from tests import runs
from tests.runs import here, refused
from tests.tasks import Walk

LENGTH, BOUND = 60, 3.0  # longer than what is recorded between two looks


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    place = tmp_path_factory.mktemp("walk") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
        registry.register("walk", lambda: Walk(BOUND, LENGTH))
        runs.train(place, 4, "--env", "walk", "--devices", 1, "--num_evals", 2, "--std", 0.8)
        yield place


def recorded(run: pathlib.Path, out: pathlib.Path, *args: object) -> DataSet:
    done = here(record.main, "--run", run, "--out", out, *args)
    assert done.returncode == 0, done.stderr
    return reading.read(str(out))


def policy(run: pathlib.Path, obs: np.ndarray, step: int | None = None) -> Any:
    """What a checkpoint's policy does at observations."""
    player = load_policy(run, step)
    return player.learner.policy(player.learned.policy, player.learned.normalizer, jnp.asarray(obs))


def test_a_recording_is_of_whole_episodes_as_the_task_plays_them(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found = recorded(run, tmp_path / "set.npz", "--steps", 3000, "--num_envs", 16)
    assert 3000 <= len(found.rewards) < 3000 + LENGTH
    acted_on = found.acted_on()
    log_probs = policy(run, found.observations[acted_on]).log_prob(jnp.asarray(found.actions))
    assert found.log_probs is not None
    np.testing.assert_allclose(found.log_probs, log_probs, rtol=1e-4, atol=1e-4)
    now, after = found.observations[acted_on], found.observations[acted_on + 1]
    moved = now[:, 2] + np.clip(found.actions[:, 0], -1, 1)
    np.testing.assert_allclose(after[:, 2], moved, atol=1e-6)
    np.testing.assert_array_equal(after[:, :2], now[:, :2] + [[0, 1]])
    np.testing.assert_allclose(found.rewards, now[:, 0] + moved, atol=1e-6)
    last = np.cumsum(found.steps) - 1
    np.testing.assert_array_equal(now[last - found.steps + 1, 1:], 0)  # from the start
    np.testing.assert_array_equal(found.terminated, np.abs(moved[last]) > BOUND)
    np.testing.assert_array_equal(found.truncated, ~found.terminated)
    assert (found.steps[found.truncated] == LENGTH).all()
    births = now[last, 0]
    assert len(np.unique(births)) == len(births), "an episode was taken twice"


def test_short_episodes_are_no_more_frequent_than_they_are(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """As many environments as there are episodes: those that are over first are the short ones."""
    found = recorded(run, tmp_path / "set.npz", "--steps", 8000, "--num_envs", 1000)
    rng = np.random.default_rng(0)
    walkers = 20_000
    births, position, alive = rng.uniform(size=walkers), np.zeros(walkers), np.ones(walkers, bool)
    steps = np.zeros(walkers)
    for step in range(LENGTH):
        obs = np.stack([births, np.full(walkers, step), position], axis=1).astype(np.float32)
        action = np.asarray(policy(run, obs).sample(jax.random.key(step)))[:, 0]
        position = np.where(alive, position + np.clip(action, -1, 1), position)
        steps += alive
        alive &= np.abs(position) <= BOUND
    assert steps.std() > 2  # or there is nothing to be seen
    assert found.steps.mean() == pytest.approx(steps.mean(), abs=4 * steps.std() / np.sqrt(len(found.steps)))


def test_several_checkpoints_play_equal_shares(run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    steps = restoring.steps(run)
    assert len(steps) == 3
    found = recorded(run, tmp_path / "set.npz", "--steps", 900, "--mode", "--step", *steps)
    assert found.about["env_steps"] == steps
    first = 0
    for step in steps:
        end = first + int(np.searchsorted(np.cumsum(found.steps[first:]), 300)) + 1
        part, first = found.select(np.arange(first, end)), end
        modes = policy(run, part.observations[part.acted_on()], step).mode()
        np.testing.assert_allclose(part.actions, modes, atol=1e-5)
    assert first == len(found.steps)
    births = found.observations[found.acted_on()][np.cumsum(found.steps) - 1, 0]
    assert len(np.unique(births)) == len(births), "two checkpoints began with the same draws"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ("--out x.npz --steps 0", "steps must be from 1 to"),
        ("--out x.npz --num_envs -1", "num_envs must be a positive number"),
        ("--out x.npz --step 77", "77"),
        ("--out x.npz --ring --step 0 128", "--ring is of one checkpoint, not of 2"),
        ("--out x.txt", "x.txt"),
        ("--steps 10", "--out"),
    ],
)
def test_bad_input_is_one_line(
    run: pathlib.Path, args: str, words: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(here(record.main, "--run", run, *args.split()), words)
    assert not list(tmp_path.iterdir())
