"""Policies to play at once: those that come with the project, exported files, run folders."""

import json
import pathlib
import struct

import jax.numpy as jnp
import numpy as np
import pytest

from awr_mjx.train import evaluate, play, transfer
from awr_mjx.train.engine.player import load_policy
from awr_mjx.train.export import check_observations, export
from awr_mjx.train.policies import formats, npz_player, shipped
from tests.trained import ended, make_run, python, refusal


@pytest.mark.parametrize("task", ["inverted_pendulum", "cartpole", "ant"])
def test_an_exported_file_plays_as_the_run_it_is_of(task: str, tmp_path: pathlib.Path) -> None:
    there = load_policy(make_run(tmp_path / "run", task))
    export(there, tmp_path / "policy.npz")
    here = shipped.read(tmp_path / "policy.npz")
    obs = jnp.asarray(check_observations(there, 200))
    want, got = formats.jax_outputs(there, obs), formats.jax_outputs(here, obs)
    assert want.keys() == got.keys() and here.steps == there.steps == 1234
    for name in want:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_what_comes_with_the_project_is_told_of_and_plays() -> None:
    assert set(shipped.about()) == set(shipped.names()) and {"ant", "hopper"} <= set(shipped.names())
    for name in shipped.names():
        path = shipped.FOLDER / f"{name}.npz"
        assert path.stat().st_size < 100_000
        player = shipped.read(path)
        obs = np.random.default_rng(0).normal(size=(4, player.env.observation_size)).astype(np.float32)
        action = player.learner.policy(player.learned.policy, player.learned.normalizer, jnp.asarray(obs)).mode()
        np.testing.assert_allclose(action, npz_player.load(path)(obs), rtol=1e-4, atol=1e-5)
        assert all(isinstance(value, str) for value in shipped.about()[name].values())


def test_a_film_of_one(tmp_path: pathlib.Path) -> None:
    done = python("-m", "train.play", "hopper", "--out", tmp_path / "h.png", "--seconds", 0.2)
    if done.returncode == 2 and "cannot render here" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    data = (tmp_path / "h.png").read_bytes()
    assert data.startswith(b"\x89PNG") and min(struct.unpack(">II", data[16:24])) > 100
    assert "hopper after " in done.stdout


def test_alone_it_lists_them(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["play"])
    assert play.main() == 0
    out = capsys.readouterr().out
    assert all(name in out for name in shipped.names())


def test_what_is_no_policy_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"")
    np.savez(tmp_path / "y.npz", metadata=json.dumps({"format": "other"}))
    for name, words in (
        ("antt", "there is no policy 'antt': name one of ant, "),
        (tmp_path / "no.npz", "No such file"),
        (tmp_path / "x.npz", "is not an exported policy"),
        (tmp_path / "y.npz", "is not an exported policy"),
        (tmp_path, "is not a run folder"),
    ):
        assert words in refusal(monkeypatch, play, name)
    assert "out must end in .mp4" in refusal(monkeypatch, play, "ant", "--out", "x.avi")


def test_a_file_or_a_name_is_evaluated_as_a_run_is(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same returns from the same starts, told and not written down, since there is no folder for it."""
    monkeypatch.chdir(tmp_path)
    export(load_policy(make_run(tmp_path / "run", "inverted_pendulum")), tmp_path / "policy.npz")

    def returns(run: str) -> str:
        done = ended(evaluate, "--run", run, "--episodes", 5)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[0]

    assert returns("policy.npz") == returns("run")
    assert {path.name for path in tmp_path.iterdir()} == {"run", "policy.npz"}
    assert "hopper after 3,000,320 env steps: mode return " in returns("hopper")
    for program in (evaluate, transfer):
        assert "policy.npz is no run" in refusal(monkeypatch, program, "--run", "policy.npz", "--step", "3")
        assert "there is no policy 'hoper'" in refusal(monkeypatch, program, "--run", "hoper")
