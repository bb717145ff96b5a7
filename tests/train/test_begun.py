"""Trainings that begin with logged data, or with the networks of a run: `train.main --from`."""

import dataclasses
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.algorithm import replay, returns
from awr_mjx.algorithm.learner import Learner
from awr_mjx.envs import registry
from awr_mjx.train import record
from awr_mjx.train.datasets import reading, writing
from awr_mjx.train.datasets.packing import packed
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.begun import with_networks
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.player import load_policy
from awr_mjx.train.engine.presets import preset, static_preset
from awr_mjx.train.main import main
from tests.runs import Done, copied, here, refused
from tests.tasks import leaves_of
from tests.train.datasets.made import episodes
from tests.train.test_static import SMALL as STATIC
from tests.train.test_static import choices

SMALL = "--num_envs 16 --rollout_steps 8 --buffer_blocks 2 --batch_size 64 --policy_updates 2".split()
SMALL += "--value_updates 2 --epoch_iterations 1 --eval_envs 4 --num_evals 1".split()
ITERATION = 16 * 8
KINDS = ((20, "terminated"), (15, "truncated"), (25, "both"), (12, "cut off"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A set, a run that learned from it, and one that began with each."""
    place = tmp_path_factory.mktemp("begun")
    writing.write(choices(), f"{place}/set.npz")
    done = here(
        main, "--data", place / "set.npz", "--env", "cartpole", *STATIC, "--num_steps", 20, "--run_dir", place / "run"
    )
    assert done.returncode == 0, done.stderr
    for name, source in (("of_set", place / "set.npz"), ("of_run", place / "run")):
        assert (done := begun(source, place / name, 3)).returncode == 0, done.stderr
    return place


def begun(source: pathlib.Path, run: pathlib.Path, iterations: int, *args: object) -> Done:
    task = ["--env", "cartpole"] if source.suffix else []
    return here(main, "--from", source, *task, *SMALL, "--num_steps", iterations * ITERATION, "--run_dir", run, *args)


def state_of(run: pathlib.Path, step: int | None = None) -> TrainState:
    config = settings.read(run)
    kept = json.loads((run / "config.json").read_text())["about"]["data"]["kept"]
    loop = Loop(registry.make(config.env), config.awr, config.num_envs, 1, 1, kept)
    return restoring.restore(run, loop.template(), step)[1]


def test_the_ring_keeps_the_set_and_collects_beside_it(folder: pathlib.Path) -> None:
    state = state_of(folder / "of_set")
    made, rows, kept = choices(), state.ring.rows, state.ring.kept
    assert int(rows.valid[:kept].sum()) == len(made.rewards)
    np.testing.assert_allclose(np.sort(rows.reward[:kept][rows.valid[:kept]]), np.sort(made.rewards))
    assert int(state.ring.filled) == 16 and rows.valid[kept:].mean() > 0.8
    assert float(rows.reward[kept:].max()) == 1.0  # cartpole pays 1, the set does not
    obs = made.observations[made.acted_on()]
    np.testing.assert_allclose(state.learner.normalizer.mean, obs.mean(axis=0), atol=1e-6)  # and stays


def test_the_networks_are_those_of_the_run(folder: pathlib.Path) -> None:
    config = settings.read(folder / "of_run")
    assert config.awr.policy_hidden == (8,) and config.awr.value_units == "returns"
    of_run, first = load_policy(folder / "run").learned, load_policy(folder / "of_run", 0).learned
    for part in ("policy", "value", "normalizer"):
        jax.tree.map(np.testing.assert_array_equal, getattr(of_run, part), getattr(first, part))
    last = load_policy(folder / "of_run").learned
    assert not np.array_equal(last.policy["net"]["out"]["bias"], of_run.policy["net"]["out"]["bias"])


@pytest.mark.parametrize("learned", [True, False])
def test_the_noise_is_that_of_the_run_where_the_task_has_a_schedule_of_its_own(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, learned: bool
) -> None:
    task, awr = preset("ant"), dataclasses.replace(static_preset("ant").awr, learn_std=learned)
    assert task.awr.std_end, "the task has no schedule"
    (tmp_path / "config.json").touch()
    monkeypatch.setattr(settings, "read", lambda _: dataclasses.replace(task, awr=awr))
    found = with_networks(task, str(tmp_path)).awr
    assert not found.problems()
    made = [Learner(config, 3, 2, False).init(jax.random.key(0)).policy for config in (awr, found)]
    assert leaves_of(made[0]).keys() == leaves_of(made[1]).keys()


def test_such_a_run_goes_on_exactly_without_the_set(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    writing.write(choices(), f"{tmp_path}/set.npz")
    run = tmp_path / "run"
    assert begun(tmp_path / "set.npz", run, 1).returncode == 0
    (tmp_path / "set.npz").unlink()
    done = here(main, "--resume", run, "--num_steps", 3 * ITERATION)
    assert done.returncode == 0, done.stderr
    whole, parts = leaves_of(state_of(folder / "of_set")), leaves_of(state_of(run))
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name], err_msg=name)


@pytest.mark.parametrize("left", [1, 0])
def test_a_run_that_was_killed_before_it_saved_has_its_data(
    left: int, folder: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run = copied(folder / "of_set", tmp_path / "run")
    (run / "summary.json").unlink()
    (run / "metrics.jsonl").unlink()
    for place in sorted((run / "checkpoints").iterdir(), key=lambda place: place.name)[left:]:
        shutil.rmtree(place)
    assert len(restoring.steps(run)) == left  # that of the start, or none
    done = here(main, "--resume", run, "--num_steps", 3 * ITERATION)
    assert done.returncode == 0, done.stderr
    whole, parts = leaves_of(state_of(folder / "of_set")), leaves_of(state_of(run))
    for name, value in whole.items():
        np.testing.assert_array_equal(value, parts[name], err_msg=name)


def test_data_that_a_checkpoint_has_not_are_read_again(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """With `--checkpoint_ring false` what was collected is lost, and what it began with is not."""
    writing.write(choices(), f"{tmp_path}/set.npz")
    run = tmp_path / "run"
    assert begun(tmp_path / "set.npz", run, 1, "--checkpoint_ring", "false").returncode == 0
    more = ["--resume", run, "--num_steps", 2 * ITERATION, "--checkpoint_ring", "true"]
    writing.write(choices(seed=1), f"{tmp_path}/set.npz")
    refused(here(main, *more), "not those that", "checksum")
    (tmp_path / "set.npz").unlink()
    refused(here(main, *more), "set.npz", "say where the data are now with --from")
    refused(here(main, *more, "--from", folder / "run"), "is a run: name the set")
    writing.write(choices(seed=1), f"{tmp_path}/other.npz")
    refused(here(main, *more, "--from", tmp_path / "other.npz"), "not those that", "checksum")
    writing.write(choices(), f"{tmp_path}/moved.npz")
    done = here(main, *more, "--from", tmp_path / "moved.npz")
    assert settings.read(run).begin == f"{tmp_path}/moved.npz"
    assert done.returncode == 0, done.stderr
    ring, whole = state_of(run).ring, state_of(folder / "of_set").ring
    jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[: ring.kept], y[: ring.kept]), ring.rows, whole.rows)


def test_its_ring_as_a_set_is_what_it_collected(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    done = here(record.main, "--run", folder / "of_set", "--ring", "--out", tmp_path / "ring.npz")
    assert done.returncode == 0, done.stderr
    assert set(reading.read(f"{tmp_path}/ring.npz").rewards) == {1.0}


def test_returns_end_where_what_is_kept_begins() -> None:
    made = episodes(*KINDS, seed=3)
    rows = jax.tree.map(jnp.asarray, packed([made], lanes=4).rows)
    kept = len(rows.valid)
    ring = replay.init(6, 4, 3, 2, False, kept)
    ring = dataclasses.replace(ring, rows=jax.tree.map(lambda x, y: x.at[:kept].set(y), ring.rows, rows))
    alone = returns.relabel(replay.Ring(rows, jnp.int32(0), jnp.int32(kept)), value, jnp.zeros((4, 3)), 0.9, 0.95)
    rng = np.random.default_rng(0)
    for _ in range(4):  # the ring wraps around
        new = replay.Rows(
            obs=jnp.asarray(rng.normal(size=(2, 4, 3)), jnp.float32),
            action=jnp.zeros((2, 4, 2)),
            reward=jnp.full((2, 4), 1e3),
            terminated=jnp.zeros((2, 4), bool),
            valid=jnp.ones((2, 4), bool),
        )
        ring = replay.insert(ring, new)
    g, _ = returns.relabel(ring, value, jnp.zeros((4, 3)), 0.9, 0.95)
    np.testing.assert_allclose(g[:kept][rows.valid], alone[0][rows.valid], rtol=1e-5)
    assert (g[kept:] > 900).all()
    np.testing.assert_array_equal(ring.rows.reward[:kept], rows.reward)


def value(obs: jax.Array) -> jax.Array:
    return jnp.tanh(obs.sum(axis=-1))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_minibatches_have_their_share_of_it(share: float) -> None:
    """Of it, the rows that hold a step: where environments are many, the lanes of a set are mostly empty."""
    ring = dataclasses.replace(replay.init(6, 4, 3, 2, False, 10), filled=jnp.int32(2))
    holds = jnp.zeros((16, 4), bool).at[:10:3].set(True).at[3, 1].set(False).at[10:].set(True)
    ring = dataclasses.replace(ring, rows=dataclasses.replace(ring.rows, valid=holds))
    places = replay.draw_shared(ring, jax.random.key(0), share, 100, 100)
    kept = places.time < 10
    assert abs(float(kept.mean()) - share) < 0.02
    assert bool(holds[places.time, places.env].all())
    if share:
        drawn = np.bincount((places.time * 4 + places.env)[kept], minlength=40)
        assert drawn[drawn > 0].size == 15 and np.ptp(drawn[drawn > 0]) < 6 * np.sqrt(drawn.max())
    assert int(places.time.max(where=~kept, initial=0)) <= 11  # of six rows after these, two are filled
    assert set(np.unique(places.env).tolist()) == {0, 1, 2, 3}


def test_a_run_that_collects_takes_no_other_data_when_it_goes_on(folder: pathlib.Path) -> None:
    refused(here(main, "--resume", folder / "of_set", "--data", folder / "set.npz"), "leave --data out")
    refused(here(main, "--resume", folder / "run", "--from", folder / "set.npz"), "leave --from out")
    writing.write(choices(), f"{folder}/moved.npz")
    more = ["--num_steps", 9 * ITERATION, "--from", folder / "moved.npz"]
    refused(here(main, "--resume", folder / "of_set", *more), "has in its checkpoint", "leave --from out")


def test_bad_beginnings_are_one_line(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run, good = tmp_path / "run", folder / "set.npz"
    for args, words in (
        ([tmp_path / "nothing.npz", "--env", "cartpole"], ["no file"]),
        ([good, "--env", "hopper"], ["observations of 4", "of 11"]),
        ([folder / "run", "--env", "hopper"], ["observations of 4", "of 11"]),
        ([good, "--env", "cartpole", "--data", good], ["--from", "--data"]),
        ([good, "--env", "cartpole", "--variant", "monte_carlo"], ["--from", "monte_carlo"]),
        ([good, "--env", "cartpole", "--data_share", 1.5], ["data_share"]),
        ([good, "--env", "cartpole", "--top", 0.1], ["top is for learning from logged data alone", "data convert"]),
        ([folder / "run", "--policy_hidden", 5], ["policy_hidden is that of", "leave --policy_hidden out"]),
    ):
        refused(here(main, "--from", *args, "--run_dir", run), *words)
        assert not run.exists()
