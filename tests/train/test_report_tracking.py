"""What a report says of runs that imitate: how near they come to their clips."""

import json
import pathlib
import re

import pytest

from awr_mjx.train import report
from awr_mjx.train.console import files
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.pictures import tracking
from awr_mjx.train.pictures.runs import read
from tests.trained import ended

NEAR = {"terms/joint_error": 0.25, "terms/mpkpe": 0.125, "terms/r_mpkpe": 0.0625}
HEAD = ["run", "return, of the most possible", "whole episodes, of all", "joint error (rad)", "mpkpe (m)"]


def logged(folder: pathlib.Path, task: str, rows: list[dict[str, float]]) -> pathlib.Path:
    """A run folder with settings and metrics alone."""
    folder.mkdir()
    files.write_json(folder / "config.json", {"settings": settings.to_dict(TrainConfig(env=task))})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def imitation(share: float) -> list[dict[str, float]]:
    """Two epochs, and an evaluation after each; a `share` of the most is returned in the second, half of it before."""
    rows: list[dict[str, float]] = []
    for i in (1, 2):
        steps = {"env_steps": 1_000_000 * i, "train_seconds": 60.0 * i}
        rows.append(steps | {name: 4 * value / i for name, value in NEAR.items()})
        mode = {f"mode_{name}": 2 * value / i for name, value in NEAR.items()}
        shares = {"mode_return": 300 * share * i, "mode_return_share": share * i / 2, "mode_whole": 0.5 * i}
        rows.append(steps | mode | shares)
    return rows


def test_the_table_has_the_last_evaluation_of_each_run_that_imitates(tmp_path: pathlib.Path) -> None:
    march = logged(tmp_path / "march", "imitate/march", imitation(0.82))
    fresh = logged(tmp_path / "fresh", "imitate/march", imitation(0.9)[:1])
    other = logged(tmp_path / "other", "cartpole", [{"env_steps": 5, "mode_return": 3.0, "mode_whole": 1.0}])
    runs = tracking.imitating([read(run) for run in (march, fresh, other)])
    head, rows = tracking.rows(runs)
    assert head == [*HEAD, "root-relative mpkpe (m)"]
    assert rows == [
        ["march", "82.0%", "100.0%", "0.250", "0.125", "0.062"],
        ["fresh", "-", "-", "-", "-", "-"],
    ]


def test_curves_are_of_evaluations_and_of_training(tmp_path: pathlib.Path) -> None:
    run = read(logged(tmp_path / "march", "imitate/march", imitation(0.8)))
    lines = [line for axis in tracking.draw({"march": [run]}).axes for line in axis.lines]
    drawn = [tuple(map(list, line.get_data())) for line in lines]
    values = [[0.4, 0.8], [0.5, 1.0]]
    values += [[factor * error, factor * error / 2] for error in NEAR.values() for factor in (4, 2)]
    assert [xs for xs, _ in drawn] == [[1.0, 2.0]] * len(values)
    assert [ys for _, ys in drawn] == [pytest.approx(line) for line in values]


def test_the_page_has_both_and_that_of_another_task_neither(tmp_path: pathlib.Path) -> None:
    march = logged(tmp_path / "march", "imitate/march", imitation(0.82))
    done = ended(report, march, "--video", "false")
    assert done.returncode == 0, done.stderr
    assert (march / "report-tracking.png").read_bytes()[:4] == b"\x89PNG" and "report-tracking.png" in done.stdout
    page = (march / "report.html").read_text()
    plain = re.sub(r"<[^>]+>", " ", page)
    assert re.search(r"march\s+82\.0%\s+100\.0%\s+0\.250\s+0\.125\s+0\.062", plain)
    assert page.count("<svg") == 3 and tracking.WORDS in page
    ant = logged(tmp_path / "ant", "ant", [{"env_steps": 5, "mode_return": 3.0, "terms/reward_ctrl": 1.0}])
    assert ended(report, ant, "--video", "false").returncode == 0
    assert "joint error" not in (ant / "report.html").read_text()
    assert not (ant / "report-tracking.png").exists()
