"""When evaluations are due: as many as were asked for, or as many as a tenth of the time has room for."""

import json
import pathlib

import pytest

from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.metrics_log import LINES
from awr_mjx.train.engine.progress import Evaluated

STEPS = 1000


def at(run: pathlib.Path, num_evals: int, cost: float, until: int = STEPS, begin: int = 0) -> list[int]:
    """The steps at which a run, of a second a step, has its evaluations, each of which takes `cost` seconds."""
    config = TrainConfig(num_steps=STEPS, num_evals=num_evals)
    known = (run / LINES).read_text().splitlines() if (run / LINES).exists() else []
    count = Evaluated(run, config, begin)
    found, evaluating = list[int](), cost * len(known)
    for step in range(begin, until + 1):
        if count.another_due(step / STEPS, {"train": float(step), "evaluate": evaluating}):
            count.note(step / STEPS)
            found.append(step)
            evaluating += cost
            known.append(json.dumps({"env_steps": step, "train_seconds": step, "evaluate_seconds": evaluating}))
    (run / LINES).write_text("\n".join(known))
    return found


@pytest.mark.parametrize("cost", [0.0, 10.0])
def test_ten_where_they_are_cheap(tmp_path: pathlib.Path, cost: float) -> None:
    assert at(tmp_path, 0, cost) == list(range(100, 1001, 100))


@pytest.mark.parametrize(("cost", "steps"), [(20.0, [100, 400, 600, 800, 1000]), (40.0, [100, 800, 1000])])
def test_fewer_where_they_are_dear(tmp_path: pathlib.Path, cost: float, steps: list[int]) -> None:
    """At 400 those at 200 and 300 have been left out, and the two of 20 s are a tenth. The last comes in any case."""
    assert at(tmp_path, 0, cost) == steps


def test_one_that_is_put_off_comes_when_there_is_room_for_it(tmp_path: pathlib.Path) -> None:
    assert at(tmp_path, 0, 15.0) == [100, 300, 450, 600, 750, 900, 1000]


def test_as_many_as_were_asked_for(tmp_path: pathlib.Path) -> None:
    assert at(tmp_path, 5, 500.0) == [200, 400, 600, 800, 1000]


@pytest.mark.parametrize("stop", [150, 250, 399])
def test_a_run_that_goes_on_has_those_of_one_that_was_not_stopped(tmp_path: pathlib.Path, stop: int) -> None:
    """What was put off when it was stopped is neither lost nor made up for too soon."""
    first = at(tmp_path, 0, 20.0, until=stop)
    assert [*first, *at(tmp_path, 0, 20.0, begin=stop)] == [100, 400, 600, 800, 1000]


@pytest.mark.parametrize(("num_evals", "cost"), [(0, 10.0), (0, 20.0), (0, 40.0), (5, 500.0)])
def test_the_time_left_has_room_for_all_evaluations_that_come(
    tmp_path: pathlib.Path, num_evals: int, cost: float
) -> None:
    """From the first one on it is what they will take, to within one of them, and falls to nothing."""
    steps = at(tmp_path, num_evals, cost)
    for done in range(steps[0], STEPS + 1, 50):
        count = Evaluated(tmp_path, TrainConfig(num_steps=STEPS, num_evals=num_evals), done)
        past = cost * sum(step <= done for step in steps)
        left = count.seconds_left(done / STEPS, {"train": float(done), "evaluate": past}, float(STEPS - done))
        assert abs(left - cost * sum(step > done for step in steps)) <= cost
    assert left == 0.0
    fresh = Evaluated(tmp_path, TrainConfig(num_steps=STEPS, num_evals=num_evals), 0)
    assert fresh.seconds_left(0.05, {"train": 50.0, "evaluate": 0.0}, 950.0) == 0.0
