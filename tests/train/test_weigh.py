"""`train.data weigh`, and the example that clones with weights."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from awr_mjx.train import data
from awr_mjx.train.console import files
from awr_mjx.train.console.errors import Failed
from awr_mjx.train.datasets import writing
from awr_mjx.train.datasets.data_set import DataSet
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.weighing import weigh
from tests.examples import example
from tests.train.datasets.made import episodes
from tests.trained import ended, make_player, make_run, refusal


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a run of cartpole, `run`, and a set for it, `set.npz`."""
    found = tmp_path_factory.mktemp("weigh")
    make_run(found / "run", "cartpole")
    writing.write(cartpole(), str(found / "set.npz"))
    return found


def cartpole() -> DataSet:
    found = episodes((4, "terminated"), (30, "truncated"), (5, "both"), (12, "terminated"), size=4, actions=0)
    return dataclasses.replace(found, actions=found.actions % 2)


def test_a_row_a_step_in_the_order_of_the_set(place: pathlib.Path) -> None:
    out = place / "weights.npz"
    done = ended(data, "weigh", place / "set.npz", "--run", place / "run", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "51 steps of 4 episodes" in done.stdout
    columns, seen = weigh(make_player("cartpole"), cartpole())
    written = np.load(out)
    assert set(written) == {"episode", "step", "value", "return", "advantage", "weight"}
    for name, column in columns.items():
        np.testing.assert_allclose(written[name], column, rtol=1e-6, err_msg=name)
    assert f"effective sample share {seen['effective_sample_share']:.3f}" in done.stdout
    assert f"{seen['weight_clipped']:.1%} clipped at 20; beta 1, in units of the advantages' std" in done.stdout


def test_what_was_filtered_out_has_no_row(place: pathlib.Path) -> None:
    out = place / "few.parquet"
    done = ended(data, "weigh", place / "set.npz", "--take", 5, "--run", place / "run", "--out", out)
    assert done.returncode == 0, done.stderr
    table = pytest.importorskip("pyarrow.parquet").read_table(out)
    assert table.num_rows == 34
    assert table["step"].to_pylist() == [*range(4), *range(30)]


def test_what_makes_no_sense_is_one_line(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, found, out = place / "run", place / "set.npz", place / "other.npz"

    def words(*args: object) -> str:
        return refusal(monkeypatch, data, "weigh", *args)

    assert "neither NAME.npz nor NAME.parquet" in words(found, "--run", run, "--out", place / "w.csv")
    assert "is not a run folder" in words(found, "--run", place, "--out", out)
    assert "--out" in words(found, "--run", run)
    writing.write(episodes((5, "truncated"), size=3, actions=0), str(place / "three.npz"))
    assert "has observations of 3 numbers, and task 'cartpole' of 4" in words(
        place / "three.npz", "--run", run, "--out", out
    )
    blind = place / "blind"
    blind.mkdir()
    config = make_player("cartpole", weighting="uniform", value_updates=0).config
    files.write_json(blind / "config.json", {"settings": settings.to_dict(config)})
    assert "has learned no value function" in words("no-such-set", "--run", blind, "--out", out)
    assert not out.exists()


def test_weights_that_are_not_finite_are_not_written() -> None:
    player = make_player("cartpole")
    learned = player.learned.replace(value=jax.tree.map(lambda x: x * np.nan, player.learned.value))  # type: ignore[attr-defined]
    with pytest.raises(Failed, match="51 of the values are not finite: nothing was written"):
        weigh(dataclasses.replace(player, learned=learned), cartpole())


def test_the_example_clones_the_better_actions(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Actions are 0.5 s and noise, rewards fall with the square of their distance from s: weights pull a clone from
    # a = 0.5 s towards a = s. With other weights, only of noise above 0, it comes to lie above 0.5 s.
    rng = np.random.default_rng(0)
    obs = rng.uniform(-1, 1, (1200, 2)).astype(np.float32)
    noise = rng.normal(0, 0.3, 1000).astype(np.float32)
    acted_on = np.arange(1000) + np.repeat(np.arange(200), 5)
    actions = (0.5 * obs[acted_on, 0] + noise)[:, None]
    rewards = -((actions[:, 0] - obs[acted_on, 0]) ** 2)
    flags = np.zeros(200, bool)
    found = DataSet(obs, actions, rewards, np.full(200, 5), flags, ~flags)
    writing.write(found, str(tmp_path / "set.npz"))
    module = example("weigh")
    weighted = module.main(str(tmp_path / "set.npz"))
    assert float(weighted["w"][0, 0]) > 0.6
    np.testing.assert_allclose(weighted["w"][1], 0.0, atol=0.08)

    np.savez(tmp_path / "weights.npz", weight=(noise > 0).astype(np.float32))
    above = module.main(str(tmp_path / "set.npz"), str(tmp_path / "weights.npz"))
    chosen = noise > 0
    inputs = np.append(obs[acted_on], np.ones((1000, 1)), axis=1)[chosen]
    want = np.linalg.lstsq(inputs, actions[chosen, 0], rcond=None)[0]  # the most likely line is that of least squares
    np.testing.assert_allclose(np.append(above["w"][:, 0], above["b"]), want, atol=2e-3)
