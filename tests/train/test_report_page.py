"""What a report's page says of runs beside its figures, and how it is laid out."""

import html
import json
import pathlib
import re
import sys
from typing import Any

import pytest

from awr_mjx.train import report
from awr_mjx.train.engine import config as settings
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.task_files import STAYED, Moved
from awr_mjx.train.pictures import report_page, theme
from awr_mjx.train.pictures.runs import Run, read

START = {
    "argv": ["--env", "ant", "--tasks", "my tasks.py", "--note", "<b>"],
    "started": "2026-11-28T23:58:45+00:00",
    "packages": {"jax": "0.10.2", "mujoco": "3.17.0", "brax": None},
    "commit": "4ef353173f0b",
    "device": "NVIDIA H200",
}
RESUMED = {**START, "argv": ["--resume", "RUN"], "commit": None, "env_steps": 9_904_128}
ROWS = [{"env_steps": 5, "mode_return": 3.0, "mode_return_std": 1.5, "train_seconds": 60.0, "wall_seconds": 7500.0}]


def run_of(name: str = "a", **more: Any) -> Run:
    config = settings.to_dict(TrainConfig(env=more.pop("env", "ant"), seed=more.pop("seed", 0)))
    return Run(name, config, more.pop("rows", ROWS), **more)


def facts(page: str) -> dict[str, str]:
    """The table of what a run was started with, as text."""
    found = dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", page, re.DOTALL))
    return {name: html.unescape(re.sub(r"<[^>]+>", "", value)) for name, value in found.items()}


def test_a_run_says_what_it_was_started_with_and_how_it_ended() -> None:
    run = run_of(about=START, summary={"finished": False, "why": "stopped by SIGINT"})
    assert facts(report_page.about([run])) == {
        "started": "2026-11-28 23:58 UTC",
        "duration": "2 h 5 min",
        "state": "stopped by SIGINT",
        "device": "NVIDIA H200",
        "commit": "4ef353173f0b",
        "versions": "jax 0.10.2, mujoco 3.17.0",
        "command": "awr-mjx train --env ant --tasks 'my tasks.py' --note '<b>'",
    }
    assert report_page.heading([run]) == (
        '<h1>a</h1><p class="lead">Advantage-weighted regression on ant · 2026-11-28 · seed 0 · stopped by SIGINT</p>'
    )
    assert "<td>3.0 ± 1.5</td>" in report_page.summary([run])


def test_what_a_run_was_resumed_with_is_told_where_it_is_another() -> None:
    found = facts(report_page.about([run_of(about={**START, "resumed": [RESUMED]}, summary={"finished": True})]))
    assert found["resumed"] == "after 9,904,128 env steps" and found["state"] == "finished"
    assert found["commit"] == "4ef353173f0b then not known" and found["device"] == "NVIDIA H200"
    assert found["command"].endswith("'<b>'awr-mjx train --resume RUN")


def test_runs_share_what_is_the_same() -> None:
    other = {**START, "device": "cpu", "started": "2026-11-29T01:00:00+00:00"}
    again = {**START, "resumed": [RESUMED | {"commit": START["commit"]}]}
    runs = [run_of("a", about=START), run_of("b", seed=1, about=other), run_of("c", seed=1, about=again)]
    found = facts(report_page.about(runs))
    assert found["commit"] == "4ef353173f0b"
    assert found["device"] == "NVIDIA H200 (a, c); cpu (b)" and found["resumed"] == "after 9,904,128 env steps (c)"
    assert found["started"] == "2026-11-28 23:58 UTC to 2026-11-29 01:00 UTC"
    assert "<h1>3 runs of ant</h1>" in report_page.heading(runs)
    assert "2026-11-28 to 2026-11-29 · seeds 0, 1<" in report_page.heading(runs)


@pytest.mark.parametrize("about", [{}, {"argv": None, "started": 5, "packages": [], "resumed": {}, "data": 1}])
def test_a_run_that_does_not_say_has_no_such_line(about: dict[str, Any]) -> None:
    assert facts(report_page.about([run_of(about=about, rows=[{"env_steps": 5}])])) == {"state": "not ended"}


def test_names_cannot_become_markup() -> None:
    runs = [run_of("<i>", about=START), run_of('"b"', seed=1)]
    parts = [report_page.heading(runs[:1]), report_page.about(runs), report_page.differences(runs)]
    page = "".join([*parts, report_page.summary(runs), report_page.movie("", "<i>"), report_page.page("<i>", [])])
    assert "<i>" not in page and "<b>" not in page


def test_the_page_is_for_light_and_dark_screens() -> None:
    page = report_page.page("a", [])
    light, dark = page.split("@media (prefers-color-scheme: dark)")
    for name, (on_white, on_black) in theme.COLOURS.items():
        assert f"--{name}: {on_white};" in light and f"--{name}: {on_black};" in dark
        assert f"--{name}: {on_black};" not in light


@pytest.fixture
def folders(tmp_path: pathlib.Path) -> list[pathlib.Path]:
    """Run folders of ant, ant and cartpole; the second is the best of the ants."""
    places = []
    for name, task, value in (("one", "ant", 1.0), ("two", "ant", 2.0), ("pole", "cartpole", 9.0)):
        place = tmp_path / name
        place.mkdir()
        said = {"settings": settings.to_dict(TrainConfig(env=task))} | ({"about": START} if name == "one" else {})
        (place / "config.json").write_text(json.dumps(said))
        (place / "metrics.jsonl").write_text(json.dumps({"env_steps": 5, "mode_return": value}))
        places.append(place)
    return places


def test_the_best_of_each_task_is_in_a_video_beside_its_table(
    folders: list[pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, Moved]] = []

    def movie_of(run: pathlib.Path, name: str, seconds: float, moved: Moved) -> str:
        asked.append((run.name, name, moved))
        return "<video>"

    monkeypatch.setattr(report, "movie_of", movie_of)
    monkeypatch.setattr(sys, "argv", ["report", *map(str, folders), "--env.robot", "moved.xml"])
    assert report.main() == 0
    assert asked == [("two", "two", Moved("moved.xml")), ("pole", "pole", STAYED)]  # files that moved are of one task
    page = (folders[0] / "report.html").read_text()
    beside = re.findall(r'<div class="beside">\n<div>.*?</table>.*?</table></div>\n<div><video></div>', page, re.DOTALL)
    assert len(beside) == 2


def test_a_run_without_an_evaluation_has_no_curves(
    folders: list[pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folders[0] / "metrics.jsonl").write_text(json.dumps({"env_steps": 5, "reward_per_step": 1.0}))
    monkeypatch.setattr(sys, "argv", ["report", str(folders[0]), "--video", "false"])
    assert report.main() == 0
    page = (folders[0] / "report.html").read_text()
    assert "There is no evaluation yet." in page and page.count("<svg") == 1  # of the time alone
    assert facts(page)["commit"] == "4ef353173f0b"


def test_a_return_of_no_episode_is_none(folders: list[pathlib.Path]) -> None:
    """Runs of before had a 0 there."""
    rows = [{"env_steps": i, "episodes_finished": i % 2, "episode_return": 7.0 * (i % 2), "kl": 0.5} for i in (1, 2, 3)]
    (folders[0] / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = read(folders[0])
    assert run.column("episode_return").tolist() == [[1, 3], [7, 7]]
    assert run.column("kl").tolist() == [[1, 2, 3], [0.5, 0.5, 0.5]]
