"""A run in Gymnasium and here."""

import json
import pathlib

import numpy as np
import pytest

from tests.trained import pendulum_run, python, refusal  # noqa: F401
from train import transfer


def test_transfer_plays_the_same_policy_there_and_here(pendulum_run: pathlib.Path, tmp_path: pathlib.Path) -> None:  # noqa: F811
    pytest.importorskip("gymnasium")
    out = tmp_path / "transfer.json"
    result = python("-m", "train.transfer", "--run", pendulum_run, "--episodes", 20, "--out", out)
    assert result.returncode == 0, result.stderr
    found = json.loads(out.read_text())
    there, here = np.array(found["returns_gymnasium"]), np.array(found["returns_here"])
    assert there.shape == here.shape == (20,) and found["gymnasium"] == "InvertedPendulum-v5"
    # This policy soon fails, after a number of steps that depends on the start: the same one here and there.
    error = np.sqrt(there.var() / 20 + here.var() / 20)
    assert abs(there.mean() - here.mean()) < 4 * error + 0.5
    assert found["ratio"] == pytest.approx(there.mean() / here.mean())
    assert "kept: " in result.stdout


def test_transfer_refuses(pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    assert "episodes" in refusal(monkeypatch, transfer, "--run", pendulum_run, "--episodes", 0)
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "gymnasium", None)
        assert "awr_mjx[gymnasium]" in refusal(monkeypatch, transfer, "--run", pendulum_run)
