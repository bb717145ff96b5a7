"""A report: which runs are one band, what differs, and that the page stands alone."""

import dataclasses
import json
import pathlib
import re
import shutil
import struct
from typing import Any

import pytest

from awr_mjx.train import report
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.pictures import figures, report_page
from awr_mjx.train.pictures import runs as logged_runs
from tests.trained import ended, make_run, python, refusal


def lines(axis: Any) -> list[Any]:
    """How each line of a panel is drawn, and its points."""
    return [(line.get_linestyle(), [list(map(float, values)) for values in line.get_data()]) for line in axis.lines]


def rows(first: float) -> str:
    """Metrics as a run leaves them: ten epochs, every fifth evaluated, and a line that is being written."""
    found = []
    for i in range(1, 11):
        values = {"env_steps": 1000 * i, "reward_per_step": 0.1 * i, "beta": 0.4, "train_seconds": 6.0 * i}
        found.append(json.dumps(values))
        if i % 5 == 0:
            seconds = {"train_seconds": 6.0 * i, "evaluate_seconds": 3.0, "save_seconds": 1.0, "compile_seconds": 20.0}
            found.append(json.dumps({"env_steps": 1000 * i, "mode_return": first + i, "gradient_steps": i, **seconds}))
    return "\n".join(found) + '\n{"env_steps": 11'


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[pathlib.Path]:
    """Three runs: seeds 0 and 1, and seed 0 with another temperature."""
    folder = tmp_path_factory.mktemp("runs")
    found = []
    for i, (seed, beta) in enumerate([(0, 1.0), (1, 1.0), (0, 0.5)]):
        run = make_run(folder / f"run{i}", "inverted_pendulum")
        content = json.loads((run / "config.json").read_text())
        content["settings"]["seed"] = seed
        content["settings"]["awr"]["beta"] = beta
        (run / "config.json").write_text(json.dumps(content))
        (run / "metrics.jsonl").write_text(rows(100.0 * i))
        found.append(run)
    return found


def test_runs_that_differ_in_their_seed_are_one_group(runs: list[pathlib.Path]) -> None:
    groups = logged_runs.group([logged_runs.read(run) for run in runs])
    assert {label: [run.name for run in group] for label, group in groups.items()} == {
        "beta 1.0": ["run0", "run1"],
        "beta 0.5": ["run2"],
    }
    assert list(logged_runs.group([logged_runs.read(run) for run in runs[:2]])) == ["inverted_pendulum"]


def test_runs_of_two_tasks_have_a_section_each(runs: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    ant = shutil.copytree(runs[2], tmp_path / "ant")
    content = json.loads((ant / "config.json").read_text())
    content["settings"] |= {"env": "ant", "num_steps": 7}
    (ant / "config.json").write_text(json.dumps(content))
    done = ended(report, *runs[:2], ant, "--out", tmp_path / "report.html", "--video", "false")
    assert done.returncode == 0, done.stderr
    kinds = ("curves", "diagnostics", "time")
    expected = {f"report-{kind}-{task}.png" for kind in kinds for task in ("inverted_pendulum", "ant")}
    assert {path.name for path in tmp_path.glob("*.png")} == expected
    _, pendulum, own = (tmp_path / "report.html").read_text().split("<h2>")
    assert pendulum.startswith("inverted_pendulum<") and own.startswith("ant<")
    for part, names in ((pendulum, ("run0", "run1")), (own, ("ant",))):
        table = part[: part.index("</table>")]
        assert re.findall(r"<tr><td>(.*?)</td>", table) == list(names)
        assert part.count("<svg") == 3
    assert "Mode return: ant" in own and "Mode return: ant" not in pendulum
    assert "num_steps" not in pendulum[: pendulum.index("<details>")]  # not by what differs from another task's


def test_the_fast_physics_stands_beside_the_exact_one() -> None:
    rows = [{"env_steps": s, "mode_return": 2.0 * s, "mode_return_fast": 3.0 * s, "train_seconds": 1.0} for s in (1, 2)]
    run = logged_runs.Run("a", {"env": "ant", "seed": 0}, [dict(row) for row in rows])
    assert "<td>4.0</td><td>4.0</td><td>6.0</td>" in report_page.summary([run])
    drawn = lines(figures.curves({"a": [run]}).axes[0])
    assert (":", [[1.0, 2.0], [3.0, 6.0]]) in drawn and ("-", [[1.0, 2.0], [2.0, 4.0]]) in drawn


def test_runs_that_differ_in_much_have_their_names(runs: list[pathlib.Path]) -> None:
    read = [logged_runs.read(run) for run in runs[:2]]
    changed = {"num_envs": 1, "num_steps": 2, "keep": 5, "eval_envs": 9}
    read[1] = dataclasses.replace(read[1], settings=read[1].settings | changed)
    assert list(logged_runs.group(read)) == ["run0", "run1"]


def test_every_run_has_a_name_of_its_own(runs: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    """Three of one folder name are told apart by where they lie; one that is given three times counts once."""
    places = [tmp_path / place for place in ("a/run", "b/run", "b/c/run", "other")]
    for i, place in enumerate(places):
        shutil.copytree(runs[0], place)
        content = json.loads((place / "config.json").read_text())
        content["settings"] |= {"num_envs": i + 1, "num_steps": i + 2, "keep": i + 3, "eval_envs": i + 9}
        (place / "config.json").write_text(json.dumps(content))
    (tmp_path / "link").symlink_to(places[0])
    again = (places[0] / ".." / "run", tmp_path / "link")
    folders, read = logged_runs.read_all((*places, *again))
    assert folders == tuple(places)
    assert [run.name for run in read] == ["a/run", "b/run", "c/run", "other"]
    assert list(logged_runs.group(read)) == ["a/run", "b/run", "c/run", "other"]


def test_values_that_are_missing_are_left_out(runs: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    run = shutil.copytree(runs[0], tmp_path / "run")
    lines = ['{"env_steps": 5, "mode_return": 3.0}', '{"env_steps": 6, "train_seconds": 30.0}', '{"env_steps": 60}']
    (run / "metrics.jsonl").write_text("\n".join(lines))
    read = logged_runs.read(run)
    plain = re.sub(r"<[^>]+>", " ", report_page.summary([read]))
    assert re.search(r"run\s+0\s+3\.0\s+3\.0\s+60\s+0\.5\s+2\s", plain)
    figures.curves(logged_runs.group([read]))
    figures.time_split(logged_runs.group([read]))
    (run / "metrics.jsonl").write_text(lines[0])
    plain = re.sub(r"<[^>]+>", " ", report_page.summary([logged_runs.read(run)]))
    assert re.search(r"run\s+0\s+3\.0\s+3\.0\s+5\s+-\s+-\s", plain)


def test_what_is_no_run_is_passed_over_among_others(
    runs: list[pathlib.Path], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = tmp_path / "seed-0.json"
    note.touch()
    folders, read = logged_runs.read_all((note, *runs[:2], tmp_path))
    assert folders == tuple(runs[:2]) and [run.name for run in read] == ["run0", "run1"]
    err = capsys.readouterr().err.splitlines()
    assert err == [
        f"warning: {place} is not a run folder: it has no config.json: left out" for place in (note, tmp_path)
    ]
    with pytest.raises(UserError, match="is not a run folder"):
        logged_runs.read_all((note, tmp_path))


def test_a_line_being_written_does_not_count(runs: list[pathlib.Path]) -> None:
    run = logged_runs.read(runs[1])
    assert len(run.rows) == 12
    assert [point["mode_return"] for point in run.evaluations()] == [105.0, 110.0]
    steps, values = run.column("reward_per_step")
    assert list(steps) == [1000 * i for i in range(1, 11)]
    assert values[-1] == pytest.approx(1.0)


def test_best_run_is_the_one_with_the_highest_mode_return(runs: list[pathlib.Path]) -> None:
    read = [logged_runs.read(run) for run in runs]
    assert report.best_run(read) is read[2]


def test_page_stands_alone_and_says_what_differs(runs: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    out = tmp_path / "report.html"
    done = python("-m", "train.report", *runs, "--out", out, "--video", "false")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report-curves.png",
        "report-diagnostics.png",
        "report-time.png",
        "report.html",
    ]
    page = out.read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)  # nothing is fetched
    assert not re.search(r"@import|url\((?!#)", page)
    assert page.count("<svg") == 3
    plain = re.sub(r"<[^>]+>", " ", page)
    assert re.search(r"run2\s+0\s+210\.0\s+210\.0\s+10,000\s+1\.0\s+167", plain)
    assert re.search(r"awr\.beta\s+1\.0\s+1\.0\s+0\.5", plain)
    assert re.search(r"seed\s+0\s+1\s+0\s", plain)
    for path in tmp_path.glob("*.png"):
        data = path.read_bytes()
        assert data[:4] == b"\x89PNG"
        width, height = struct.unpack(">II", data[16:24])
        assert width > 1000 and height > 150


def test_video_is_in_the_page(runs: list[pathlib.Path], tmp_path: pathlib.Path) -> None:
    out = tmp_path / "report.html"
    done = python("-m", "train.report", runs[0], "--out", out, "--seconds", "0.5")
    assert done.returncode == 0, done.stderr
    page = out.read_text()
    if "No video: cannot render here" in page:
        pytest.skip("nothing can be rendered here")
    assert "data:video/mp4;base64," in page
    assert "run0 after 1,234 env steps" in page


def test_computer_that_cannot_render_gets_a_report_all_the_same(
    runs: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    out = tmp_path / "report.html"
    done = python("-m", "train.report", runs[0], "--out", out, env={"MUJOCO_GL": "nothing"})
    assert done.returncode == 0, done.stderr
    assert "No video: cannot render here with MUJOCO_GL=nothing" in out.read_text()


def test_report_refuses(runs: list[pathlib.Path], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"{tmp_path} is not a run folder" in refusal(monkeypatch, report, tmp_path)
    assert "which runs?" in refusal(monkeypatch, report)
    assert "out must end in .html, not .pdf" in refusal(monkeypatch, report, runs[0], "--out", "a.pdf")
    with monkeypatch.context() as patch:
        patch.setattr(report, "write", lambda *_: pytest.fail("worked before it looked"))
        assert "cannot write nowhere/a.html: No such" in refusal(patch, report, runs[0], "--out", "nowhere/a.html")
    fresh = make_run(tmp_path / "fresh", "cartpole")
    assert "has no metrics yet" in refusal(monkeypatch, report, fresh)
