"""`train.data fqe` from end to end, on a small set."""

import dataclasses
import json
import pathlib

import pytest

from awr_mjx.algorithm.fitted_q import FittedQConfig
from awr_mjx.train import data
from awr_mjx.train.datasets import writing
from awr_mjx.train.engine.fitted_q import doubts
from tests.train.datasets.made import episodes
from tests.trained import ended, make_run, refusal

QUICK = "--steps 100 --networks 2".split()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with a run of cartpole, `run`, and a set for it, `set.npz`."""
    found = tmp_path_factory.mktemp("fqe")
    make_run(found / "run", "cartpole")
    kinds = ((4, "terminated"), (30, "truncated"), (5, "both"), (12, "terminated")) * 5
    made = episodes(*kinds, size=4, actions=0)
    writing.write(dataclasses.replace(made, actions=made.actions % 2), str(found / "set.npz"))
    return found


def test_it_prints_an_estimate_and_what_it_is_worth(place: pathlib.Path) -> None:
    out = place / "found.json"
    done = ended(data, "fqe", place / "set.npz", "--run", place / "run", "--out", out, *QUICK)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["episodes"] == 2 and found["gamma"] == pytest.approx(0.99) and found["env_steps"] == 1234
    assert f"about {found['estimate']:.4g} (95 % interval {found['low']:.4g} to {found['high']:.4g})" in done.stdout
    assert f"gave {found['behaviour']:.4g} ±" in done.stdout
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert "rank policies at best" in warnings[-1] and "blind" in warnings[-1]


def test_the_discount_and_the_actions_can_be_chosen(place: pathlib.Path) -> None:
    out = place / "other.json"
    more = ("--gamma", 0, "--sample", "--episodes-held-out", 0.5, "--out", out)
    done = ended(data, "fqe", place / "set.npz", "--run", place / "run", *QUICK, *more)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert (found["gamma"], found["episodes"], found["actions"]) == (0.0, 10, "sampled")
    assert "of the sampled action" in done.stdout


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--gamma", 1), "gamma must be at least 0 and below 1, not 1.0"),
        (("--episodes_held_out", 1), "episodes_held_out must be a share from 0 and below 1, not 1.0"),
        (("--episodes_held_out", 0.99), "a set of 20 episodes is too small"),
        (("--networks", 0), "networks must be from 1 to 100, not 0"),
        (("--steps", 0), "steps must be a positive number, not 0"),
        (("--seed", -1), "seed must be from 0"),
        (("--out", "/nowhere/at/all.json"), "name another file with --out"),
        (("--top", 2), "top must be a share"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    place: pathlib.Path, monkeypatch: pytest.MonkeyPatch, args: tuple[object, ...], words: str
) -> None:
    assert words in refusal(monkeypatch, data, "fqe", place / "set.npz", "--run", place / "run", *args)


def test_an_estimate_that_cannot_be_right_is_doubted(place: pathlib.Path) -> None:
    config = FittedQConfig(gamma=0.99, steps=8_000)
    sound = {"low": 80.0, "high": 99.0, "least_possible": 0.0, "most_possible": 100.0}
    assert doubts(sound, config) == []
    for wrong in ({"high": 100.5}, {"low": -1.0}):
        (line,) = doubts(sound | wrong, config)
        assert "no policy can earn less than 0 or more than 100" in line
    (line,) = doubts(sound, FittedQConfig(gamma=0.99, steps=1_000))
    assert "2 steps in each of 500 rounds" in line and "--steps 4,000 or more" in line
    done = ended(data, "fqe", place / "set.npz", "--run", place / "run", "--gamma", 0.9, "--steps", 100)
    assert done.returncode == 0 and "2 steps in each of 51 rounds are too few" in done.stderr


def test_sets_of_other_sizes_are_refused(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size, actions, words in (
        ("three.npz", 3, 0, "observations of 3 numbers, and task 'cartpole' of 4"),
        ("numbers.npz", 4, 2, "actions of 2 numbers, and task 'cartpole' of 2 choices"),
        ("choices.npz", 4, 0, "actions of 3 choices, and task 'cartpole' of 2 choices"),
    ):
        writing.write(episodes((50, "truncated"), (50, "truncated"), size=size, actions=actions), str(place / name))
        assert words in refusal(monkeypatch, data, "fqe", place / name, "--run", place / "run")
