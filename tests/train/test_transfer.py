"""A run in Gymnasium and here."""

import json
import pathlib

import numpy as np
import pytest

from awr_mjx.train import transfer
from awr_mjx.train.engine.evaluation import Episodes
from awr_mjx.train.policies import shipped
from tests.trained import make_player, pendulum_run, python, refusal  # noqa: F401


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


def _episodes(*returns: float) -> Episodes:
    """One step each; the last was ended by breaking the task."""
    count = len(returns)
    return Episodes(np.array(returns, np.float32), np.ones(count, np.int32), np.arange(count) == count - 1, {})


def test_what_was_played_is_written_before_it_is_said(
    pendulum_run: pathlib.Path,  # noqa: F811
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "transfer.json"
    monkeypatch.setattr(transfer, "play_in_gymnasium", lambda *_: (np.ones(2), np.ones(2)))
    monkeypatch.setattr(transfer, "Evaluator", lambda *_: lambda *_: _episodes(-2.0, 1.0))
    said: list[str] = []

    def say(line: str) -> None:
        assert out.exists()
        said.append(line)

    monkeypatch.setattr("builtins.print", say)
    monkeypatch.setattr("sys.argv", ["program", "--run", str(pendulum_run), "--episodes", "2", "--out", str(out)])
    assert transfer.main() == 0
    assert "1 of 2 episodes were ended by a step that broke the task" in said[-2]
    assert said[-1] == "kept: -"  # there is no share of a loss
    found = json.loads(out.read_text(), parse_constant=pytest.fail)
    assert found["ratio"] is None and found["returns_gymnasium"] == [1.0, 1.0]


def test_transfer_refuses(pendulum_run: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    assert "episodes" in refusal(monkeypatch, transfer, "--run", pendulum_run, "--episodes", 0)
    with monkeypatch.context() as patch:
        patch.setitem(__import__("sys").modules, "gymnasium", None)
        assert "pip install -e '.[gymnasium]' in the clone" in refusal(monkeypatch, transfer, "--run", pendulum_run)


@pytest.mark.parametrize(("asked", "taken"), [(1 / 480, "0.00208 s"), (0.01, "0.0111 s"), (1 / 30, "0.0333 s")])
def test_imitation_is_played_in_whole_parts_of_a_control_step(
    asked: float,
    taken: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, player = tmp_path / "transfer.json", make_player("imitate/march")
    monkeypatch.setattr(shipped, "find", lambda *_: player)
    monkeypatch.setattr(transfer, "play_in_c", lambda *_: (np.array([500.0, 100.0]), np.array([600, 120])))
    monkeypatch.setattr(transfer, "Evaluator", lambda *_: lambda *_: _episodes(400.0, 350.0, 450.0))
    given = ["--run", str(tmp_path), "--episodes", "2", "--out", str(out), "--timestep"]
    monkeypatch.setattr("sys.argv", ["program", *given, str(asked)])
    assert transfer.main() == 0
    words = f"C MuJoCo, servo, {taken}: 300.0 ± 200.0 over 2 episodes of 360 steps on average, 50% of them whole"
    assert words in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert (found["whole"], found["ratio"]) == (0.5, 0.75) and f"{found['timestep']:.3g} s" == taken
    assert "timestep must be at most a control step, 0.03333 s" in refusal(monkeypatch, transfer, *given, 0.034)
