"""What an evaluation tells of a task that breaks in some steps, and what it refuses."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from awr_mjx.envs import registry
from awr_mjx.train import evaluate, main
from awr_mjx.train.console import files
from awr_mjx.train.console.errors import UserError
from tests import runs
from tests.tasks import Broken
from tests.train.engine.test_evaluations import GATE, ITERATION, Approximate, trained
from tests.trained import ended, refusal


class Breaking(Broken):
    """Breaks in one of five steps, has a term that is never finite, and says what can be returned."""

    return_max = 40.0

    def __init__(self) -> None:
        super().__init__(steps=0.2)

    def terms(self, state: Any, action: jax.Array, after: Any) -> dict[str, jax.Array]:
        return {"never": jnp.inf * after.obs[0], "always": jnp.float32(2.0)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    place = tmp_path_factory.mktemp("breaking") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
        registry.register("breaking", Breaking)
        done = runs.train(place, 1, "--env", "breaking", "--devices", "1")
        (place / "stdout").write_text(done.stdout)
        yield place


def strict(text: str) -> dict[str, Any]:
    """JSON without NaN and Infinity."""

    def refuse(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    found: dict[str, Any] = json.loads(text, parse_constant=refuse)
    return found


def test_training_tells_of_evaluations_that_broken_steps_cut_short(run: pathlib.Path) -> None:
    lines = [strict(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    broken = [line["mode_broken"] for line in lines if "mode_broken" in line]
    assert len(broken) == 1 and 0 < broken[0] <= 4
    words = f"warning: {broken[0]:.0f} of 4 episodes were ended by a step that broke the task"
    assert words in (run / "stdout").read_text()
    assert {line["terms/always"] for line in lines if "terms/always" in line} == {2.0}
    assert not any("terms/never" in line or "mode_terms/never" in line for line in lines)
    (evaluated,) = [line for line in lines if "mode_return" in line]
    assert evaluated["mode_terms/always"] == 2.0
    assert evaluated["mode_return_share"] == pytest.approx(evaluated["mode_return"] / 40) and evaluated["mode_return"]


def test_evaluate_tells_of_episodes_that_broken_steps_cut_short(run: pathlib.Path) -> None:
    done = ended(evaluate, "--run", run, "--episodes", 20)
    assert done.returncode == 0, done.stderr
    found = strict((run / "evaluation.json").read_text())
    assert 5 < found["broken"] <= 20  # of ten steps each, were none of them broken
    assert f"{found['broken']} of 20 episodes were ended by a step that broke the task" in done.stdout
    assert "python -m train.check --env breaking" in done.stdout
    assert found["terms/always"] == 2.0 and "terms/never" not in found
    assert found["return_share"] == pytest.approx(found["return_mean"] / 40)
    assert f" ({found['return_mean'] / 40:.0%} of the most possible) over 20 episodes" in done.stdout


def test_sampled_actions_are_evaluated_where_asked_for(run: pathlib.Path) -> None:
    modes, done = (ended(evaluate, "--run", run, "--episodes", 20, "--sample", sample) for sample in ("false", "true"))
    assert modes.returncode == done.returncode == 0, done.stderr
    found = strict((run / "evaluation-sampled.json").read_text())
    assert found["actions"] == "sampled" and "sampled return" in done.stdout
    kept = strict((run / "evaluation.json").read_text())  # not written over
    assert kept["actions"] == "mode" and "mode return" in modes.stdout
    assert len(set(found["returns"])) > 10


def test_what_a_full_disk_does_not_take_is_told_all_the_same(
    run: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: pathlib.Path, _: object) -> None:
        raise UserError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr(files, "write_json", full)
    done = ended(evaluate, "--run", run, "--episodes", 3)
    assert done.returncode == 2
    assert "mode return" in done.stdout
    assert "No space left on device: name another file with --out" in done.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--seed", -1), "seed must be from 0 to 4294967295, not -1"),
        (("--seed", 2**32), "seed must be from 0 to 4294967295, not 4294967296"),
        (("--episodes", 0), "episodes must be from 1 to 1,000,000, not 0"),
        (("--episodes", 10**11), "episodes must be from 1 to 1,000,000, not 100000000000"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, args: tuple[object, ...], words: str
) -> None:
    assert words in refusal(monkeypatch, evaluate, "--run", tmp_path, *args)


def test_more_robots_than_memory_has_room_for_are_refused(tmp_path: pathlib.Path) -> None:
    """And what a resume asked for in vain is not a setting of the run."""
    run, most = tmp_path / "run", "at most 4,096 episodes"
    registry.register("approximate", lambda: Approximate(bound=99.0))
    GATE.set()
    trained(run, 1, "--num_evals", 1)
    runs.refused(runs.here(evaluate.main, "--run", run, "--episodes", 4097), most, "lower --episodes")
    before, longer = (run / "config.json").read_text(), ("--num_steps", 2 * ITERATION)
    runs.refused(runs.here(main.main, "--resume", run, *longer, "--eval_envs", 4097), most, "lower --eval_envs")
    assert (run / "config.json").read_text() == before and (run / "summary.json").is_file()
