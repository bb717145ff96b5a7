"""What is logged, and what is not; Weights & Biases without a network: `--wandb` with WANDB_MODE=offline."""

import contextlib
import dataclasses
import json
import os
import pathlib
import struct
import types
from typing import Any

import numpy as np
import pytest
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from awr_mjx.train import main
from awr_mjx.train.engine import config, epoch_metrics, films, tags
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.metrics_log import MetricsLog, lines
from tests import runs
from tests.trained import make_run, python, refusal

wandb = pytest.importorskip("wandb")
SMALL = [*runs.SMALL, "--num_steps", "256", "--wandb"]


def test_offline_runs_hold_settings_and_metrics_and_a_resume_goes_on(tmp_path: pathlib.Path) -> None:
    run, env = tmp_path / "run", {**os.environ, "WANDB_MODE": "offline"}
    done = python("-m", "train.main", *SMALL, "--run_dir", run, env=env)
    assert done.returncode == 0, done.stderr
    done = python("-m", "train.main", "--resume", run, "--num_steps", "512", env=env)
    assert done.returncode == 0, done.stderr
    files = sorted((run / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert len({file.name for file in files}) == 1  # the same run, by its id
    for file in files:
        content = file.read_bytes()
        for words in (b"eval/return", b"rollout/reward_per_step", b"policy_updates", b"cartpole"):
            assert words in content, words


def test_without_the_package_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    found = config.importlib.util.find_spec
    monkeypatch.setattr(config.importlib.util, "find_spec", lambda name: None if name == "wandb" else found(name))
    words = refusal(monkeypatch, main, *SMALL, "--run_dir", tmp_path / "run")
    assert "pip install -e '.[wandb]' in the clone" in words
    assert not (tmp_path / "run").exists()


def events(run: pathlib.Path) -> list[Any]:
    """All events of a run's TensorBoard files, oldest first; each is its length, a checksum, itself, a checksum."""
    found = []
    for path in sorted((run / "tensorboard").iterdir(), key=lambda path: path.name.rpartition(".")[2]):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_tensorboard_keeps_the_point_at_which_a_run_was_resumed(tmp_path: pathlib.Path) -> None:
    """It forgets what is at the step of a START and after; the newest checkpoint's own point is before it."""
    log = MetricsLog(tmp_path, None)
    for steps in (100, 200, 300):
        log.write(steps, {"kl": steps / 1000})
    log.close()
    log = MetricsLog(tmp_path, 200)
    log.write(300, {"kl": 0.5})
    log.close()
    value = lambda event: event.summary.value[0].simple_value if event.summary.value else 0  # noqa: E731
    found = [(event.step, event.session_log.status, value(event)) for event in events(tmp_path)]
    points = [(100, 0, pytest.approx(0.1)), (200, 0, pytest.approx(0.2)), (300, 0, pytest.approx(0.3))]
    first = (0, 0, 0)  # the file's version
    assert found == [first, *points, first, (201, SessionLog.START, 0), (300, 0, pytest.approx(0.5))]
    assert [line["env_steps"] for line in lines(tmp_path)] == [100, 200, 300]
    assert log.newest == {"env_steps": 200, "kl": 0.2}


def test_numbers_that_are_not_finite_are_left_out(tmp_path: pathlib.Path) -> None:
    log = MetricsLog(tmp_path, None)
    log.write(1, {"a": 1.0, "b": float("nan"), "c": float("inf")})
    log.close()
    assert (tmp_path / "metrics.jsonl").read_text() == '{"env_steps": 1, "a": 1.0}\n'
    assert [e.summary.value[0].tag for e in events(tmp_path)[1:]] == ["train/a"]


def test_a_log_that_fails_is_one_warning_and_the_others_go_on(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = MetricsLog(tmp_path, None)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventsWriter, "write_event", full)
    for steps in range(300):
        log.write(steps, {"kl": 0.1})
    log.close()
    assert len(list(lines(tmp_path))) == 300
    assert (
        capsys.readouterr().err == "warning: TensorBoard is not complete: No space left on device; training goes on\n"
    )


def test_the_log_goes_on_where_there_is_room_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = MetricsLog(tmp_path, None)
    file, broken = log._logs["metrics.jsonl"]._file, [True]

    class Full:
        def write(self, data: bytes) -> int:
            if not broken[0]:
                return int(file.write(data))
            if len(data) > 10:
                return int(file.write(data[:10]))
            raise OSError(28, "No space left on device")

        close = file.close

    log._logs["metrics.jsonl"]._file = Full()
    log.write(1, {"kl": 0.1})
    with contextlib.suppress(OSError):
        log.write(2, {})
    broken[0] = False
    log.write(3, {"kl": 0.3})
    log.close()
    assert list(lines(tmp_path)) == [{"env_steps": 3, "kl": 0.3}]


def test_a_run_of_weights_and_biases_has_an_id_of_its_own_that_goes_where_it_goes(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []
    monkeypatch.setattr(wandb, "init", lambda **options: ids.append(options["id"]))
    run, moved = tmp_path / "run", tmp_path / "moved"
    for resumed, place in ((None, run), (0, moved), (None, run)):
        if resumed is None:
            run.mkdir()
        else:
            run.rename(moved)
        MetricsLog(place, resumed, {}).close()
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mode_return", "eval/return"),
        ("mode_return_fast", "eval/return_fast"),
        ("mode_terms/reward_forward", "eval/reward/forward"),
        ("mode_terms/joint_error", "eval/task/joint_error"),
        ("terms/reward_forward", "reward/forward"),
        ("terms/joint_error", "task/joint_error"),
        ("held_out_value_error", "held_out/value_error"),
        ("ring_valid", "ring/valid"),
        ("kl", "policy/kl"),
        ("explained_variance", "value/explained_variance"),
        ("episode_steps", "rollout/episode_steps"),
        ("env_steps_per_second", "time/env_steps_per_second"),
        ("gradient_steps", "time/gradient_steps"),
        ("news", "train/news"),
    ],
)
def test_what_is_logged_has_a_group(name: str, place: str) -> None:
    assert tags.tag(name) == place


def test_all_that_a_training_logs_has_a_group_and_no_two_share_a_tag(tmp_path: pathlib.Path) -> None:
    runs.train(tmp_path / "run", 2)
    found = lines(tmp_path / "run")
    names = set().union(*found) - {"env_steps"}
    places = {tags.tag(name) for name in names}
    assert len(places) == len(names) > 20 and not any(place.startswith("train/") for place in places)
    logged = [event.summary.value[0].tag for event in events(tmp_path / "run") if event.summary.value]
    assert set(logged) - {"run/settings/text_summary", "run/starts/text_summary"} == places


def test_settings_and_starts_are_texts_and_films_are_images(tmp_path: pathlib.Path) -> None:
    run = make_run(tmp_path / "run", "inverted_pendulum")
    log = MetricsLog(run, None)
    log.describe(0, {"run/settings": "| a |"})
    said: list[str] = []
    screen: Any = types.SimpleNamespace(say=said.append)
    drawn = films.Films(run, 0.2, log, screen)
    drawn.begin(1234)
    drawn.begin(1235)  # while the other is drawn: left out
    drawn.take(wait=True)
    if said and "cannot render here" in said[0]:
        pytest.skip(said[0])
    drawn.begin(99)
    drawn.take(wait=True)
    drawn.begin(98)
    drawn.take(wait=True)
    log.close()
    _, text, film = events(run)
    assert text.summary.value[0].tensor.string_val == [b"| a |"]
    image = film.summary.value[0].image
    assert film.step == 1234 and (image.width, image.height) == (320, 240)
    assert image.encoded_image_string == (run / "films" / "1234.gif").read_bytes()
    assert image.encoded_image_string.startswith(b"GIF89a")
    assert len(said) == 1 and "no film of the evaluation" in said[0] and "has no checkpoint 99" in said[0]


def test_a_training_films_its_evaluations(tmp_path: pathlib.Path) -> None:
    """A task that cannot be drawn is a warning, and the training is as without."""
    (tmp_path / "mine.py").write_text(
        "from awr_mjx.envs import registry\nfrom awr_mjx.envs.gym.cartpole import CartPole\n"
        "class Unseen(CartPole):\n    picture = property()  # it has none\n"
        "registry.register('unseen', Unseen)\n"
    )
    task = ["--tasks", tmp_path / "mine.py", *SMALL[:-1], "--env", "unseen"]
    done = python("-m", "train.main", *task, "--run_dir", tmp_path / "run", "--num_evals", 2, "--video_seconds", 1)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("warning: no film of the evaluation: this task cannot be rendered yet") == 1
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["finished"]


METRICS = {
    "episodes_finished": np.array([2, 6, 0]), "episode_return": np.array([1.0, 5.0, 0.0]),
    "episode_steps": np.array([10.0, 20.0, 0.0]), "quarantined": np.array([1, 0, 3]), "kl": np.array([0.1, 0.2, 0.3]),
    "value_loss": np.zeros(3), "policy_loss": np.ones(3), "ring_valid": np.array([8.0, 8.0, 8.0]),
    "sound": np.ones((3, 3), bool),
}  # fmt: skip


def test_an_epoch_counts_all_its_episodes_and_shows_no_false_zero() -> None:
    whole = TrainConfig()
    values = epoch_metrics.summarise(METRICS, whole)
    assert values == {
        "episodes_finished": 8, "episode_return": 4.0, "episode_steps": 17.5, "quarantined": 4, "kl": 0.3,
        "value_loss": 0.0, "policy_loss": 1.0, "ring_valid": 8.0,
    }  # fmt: skip
    none = METRICS | {"episodes_finished": np.zeros(3, int)}
    no_critic = dataclasses.replace(whole, awr=dataclasses.replace(whole.awr, value_updates=0))
    left = epoch_metrics.summarise(none, no_critic)
    assert set(values) - set(left) == {"episode_return", "episode_steps", "value_loss"}
    uncounted = epoch_metrics.summarise(METRICS | {"counted_share": np.array([0.5, 0.1, 0.0])}, whole)
    assert set(values) - set(uncounted) == {"kl", "value_loss", "policy_loss"}


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        ([[1, 1, 1], [1, 1, 1]], None),
        ([[1, 1, 1], [0, 1, 1]], "policy not finite or far too large; lower --policy_lr"),
        ([[1, 0, 1], [0, 0, 1]], "value not finite or far too large; lower --value_lr (it was 0.001) and train anew"),
        (
            [[0, 0, 1], [0, 0, 0]],
            "policy and value not finite or far too large; lower --value_lr (it was 0.001) or --policy_lr",
        ),
        ([[1, 1, 0], [0, 0, 0]], "normalizer not finite or far too large; look at the task's observations"),
    ],
)
def test_what_diverges_first_is_what_is_named(sound: list[list[int]], words: str | None) -> None:
    found = epoch_metrics.trouble(METRICS | {"sound": np.array(sound, bool)}, TrainConfig())
    assert (found is None) == (words is None)
    assert words is None or words in (found or "")


def test_a_few_broken_steps_are_no_trouble_but_nothing_else_is() -> None:
    empty = METRICS | {"ring_valid": np.array([4.0, 2.0, 0.0])}
    assert epoch_metrics.trouble(METRICS, TrainConfig()) is None
    assert "breaks in every step" in (epoch_metrics.trouble(empty, TrainConfig()) or "")


def test_what_is_told_late_is_not_newest(tmp_path: pathlib.Path) -> None:
    """An evaluation beside the training is of steps that lie behind."""
    (tmp_path / "metrics.jsonl").touch()
    log = MetricsLog(tmp_path, None)
    for step, values in ((10, {"a": 1.0}), (30, {"a": 3.0}), (20, {"a": 2.0, "mode_return": 5.0})):
        log.write(step, values)
    log.close()
    assert [line["a"] for line in lines(tmp_path)] == [1.0, 2.0, 3.0]
    resumed = MetricsLog(tmp_path, 30)
    resumed.close()
    assert (resumed.newest["a"], resumed.newest["mode_return"], resumed.again) == (3.0, 5.0, 0)
