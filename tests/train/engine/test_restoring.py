"""The way back from checkpoints: what is empty, damaged, without its ring, or removed meanwhile."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest

from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import checkpoint_format, restoring
from awr_mjx.train.engine.checkpointing import Checkpoints
from awr_mjx.train.engine.loop import Loop, TrainState
from tests.tasks import leaves_of
from tests.trained import make_player

EMPTY = """
import json, sys, pathlib
from awr_mjx.train.engine.jax_setup import start_jax
start_jax(False, 2)
import jax, jax.numpy as jnp, numpy as np
from awr_mjx.algorithm.config import AwrConfig
from tests.tasks import Chain, leaves_of
from awr_mjx.train.engine.checkpointing import Checkpoints
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine import restoring

class WithEmpty(Chain):
    def reset(self, key):
        state = super().reset(key)
        return state.replace(data={"place": state.data, "none": jnp.zeros((0, 3))})
    def step(self, state, action):
        data = state.data
        stepped = super().step(state.replace(data=data["place"]), action)
        return stepped.replace(data={"place": stepped.data, "none": data["none"]})

config = AwrConfig(rollout_steps=2, buffer_blocks=2, batch_size=16, policy_hidden=(8,), value_hidden=(8,),
                   policy_updates=2, value_updates=2)
loop = Loop(WithEmpty(), config, 8, devices=2)
state, _ = loop.epoch(loop.init(0))
run = pathlib.Path(sys.argv[1])
saves = Checkpoints(run, keep=1, with_ring=True)
assert saves.save(state, 16) is None and saves.wait() is None
step, again, warnings = restoring.restore(run, loop.template())
assert step == 16 and not warnings, warnings
placed = [a.sharding == b.sharding for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(again), strict=True)]
(state, _), (again, _) = loop.epoch(state), loop.epoch(again)
a, b = leaves_of(state), leaves_of(again)
print(json.dumps({
    "empty": [x.shape for x in a.values() if x.size == 0], "placed": all(placed),
    "same": [name for name in a if not np.array_equal(a[name], b[name])], "names": a.keys() == b.keys(),
}))
"""


def test_an_array_without_elements_comes_back_on_two_devices(tmp_path: pathlib.Path) -> None:
    """The states of Brax's and Playground's tasks have such arrays, and a run has a device for each core."""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run([sys.executable, "-c", EMPTY, tmp_path], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert [8, 0, 3] in found["empty"]
    assert found["placed"] is found["names"] is True
    assert found["same"] == []


@pytest.fixture(scope="module")
def state() -> TrainState:
    """A cartpole's state; a filled ring is one without zeros."""
    player = make_player("cartpole")
    fresh = Loop(player.env, player.config.awr, player.config.num_envs).init(0)
    return fresh.replace(ring=jax.tree.map(lambda x: x + 1 if x.dtype != bool else x, fresh.ring))  # type: ignore[attr-defined]


def save(run: pathlib.Path, state: TrainState, env_steps: int, with_ring: bool = True) -> None:
    saves = Checkpoints(run, keep=9, with_ring=with_ring)
    assert saves.save(state, env_steps) is None
    assert saves.wait() is None
    saves.close()


def damage(run: pathlib.Path, step: int) -> None:
    """Cuts the largest file of what was learned in half."""
    every = (checkpoint_format.folder(run) / str(step) / "learner").rglob("*")
    largest = max((p for p in every if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


def test_behind_a_damaged_checkpoint_with_its_ring_may_lie_one_without(tmp_path: pathlib.Path, state: Any) -> None:
    save(tmp_path, state, 1, with_ring=False)
    save(tmp_path, state, 2, with_ring=True)
    damage(tmp_path, 2)
    step, found, warnings = restoring.restore(tmp_path, state)
    assert step == 1
    assert float(found.ring.rows.obs.max()) == 0.0
    assert any("2 is damaged" in w for w in warnings)
    assert any("not exact" in w for w in warnings)


def test_behind_a_damaged_checkpoint_without_its_ring_may_lie_one_with(tmp_path: pathlib.Path, state: Any) -> None:
    save(tmp_path, state, 1, with_ring=True)
    save(tmp_path, state, 2, with_ring=False)
    damage(tmp_path, 2)
    step, found, warnings = restoring.restore(tmp_path, state)
    assert step == 1
    there, wanted = leaves_of(found), leaves_of(state)
    for name, value in wanted.items():
        np.testing.assert_array_equal(there[name], value, err_msg=name)
    assert not any("not exact" in w for w in warnings)


def test_a_lost_ring_is_damage(tmp_path: pathlib.Path, state: Any) -> None:
    save(tmp_path, state, 1)
    save(tmp_path, state, 2)
    shutil.rmtree(checkpoint_format.folder(tmp_path) / "2" / "ring")
    step, _, warnings = restoring.restore(tmp_path, state)
    assert step == 1
    assert "2 is damaged" in warnings[0]


@pytest.mark.parametrize("gone", ["whole", "part"])
def test_a_reader_takes_the_newest_where_training_removes_what_it_reads(
    tmp_path: pathlib.Path, state: Any, gone: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Between a reader's list and its reading, training saves 5 and removes 3, of which a part may still be there."""
    for step in (3, 4):
        save(tmp_path, state, step)
    place, listed = checkpoint_format.folder(tmp_path), restoring.steps
    (place / "4").rename(tmp_path / "later")

    def listing(run: pathlib.Path) -> list[int]:
        found = listed(run)
        if found == [3]:
            (tmp_path / "later").rename(place / "4")
            shutil.rmtree(place / "3" if gone == "whole" else place / "3" / "learner")
        return found

    monkeypatch.setattr(restoring, "steps", listing)
    step, _, warnings = restoring.restore_learner(tmp_path, state.learner)
    assert step == 4
    assert warnings == []
    assert capfd.readouterr().err == ""


def test_a_checkpoint_that_was_asked_for_and_removed_meanwhile_is_said_to_be_gone(
    tmp_path: pathlib.Path, state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in (3, 4):
        save(tmp_path, state, step)
    listed = restoring.steps

    def listing(run: pathlib.Path) -> list[int]:
        found = listed(run)
        shutil.rmtree(checkpoint_format.folder(tmp_path) / "3", ignore_errors=True)
        return found

    monkeypatch.setattr(restoring, "steps", listing)
    with pytest.raises(UserError, match="no checkpoint 3; it has 4"):
        restoring.restore_learner(tmp_path, state.learner, 3)


def test_an_empty_ring_needs_no_room_in_the_first_checkpoint(tmp_path: pathlib.Path) -> None:
    player = make_player("cartpole")
    fresh = Loop(player.env, player.config.awr, player.config.num_envs).init(0)
    save(tmp_path, fresh, 0)
    assert not (checkpoint_format.folder(tmp_path) / "0" / "ring").exists()
    step, found, warnings = restoring.restore(tmp_path, fresh)
    assert (step, warnings) == (0, [])
    for name, value in leaves_of(fresh).items():
        np.testing.assert_array_equal(leaves_of(found)[name], value, err_msg=name)


@pytest.fixture
def evaluated(tmp_path: pathlib.Path) -> tuple[pathlib.Path, Loop]:
    """A run of three checkpoints; the log has mode returns of two, the best of which is not the newest."""
    player = make_player("cartpole")
    loop = Loop(player.env, player.config.awr, player.config.num_envs)
    saves = Checkpoints(tmp_path, keep=3, with_ring=False)
    for step in (8, 16, 24):
        assert saves.save(loop.init(step), step) is None and saves.wait() is None
    saves.close()
    lines = [{"env_steps": 8, "mode_return": 50.0}, {"env_steps": 16, "mode_return": 9.0}, {"env_steps": 24}]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path, loop


def test_the_best_is_that_of_the_highest_mode_return(evaluated: tuple[pathlib.Path, Loop]) -> None:
    run, loop = evaluated
    template = loop.template()
    step, learner, warnings = restoring.restore_learner(run, template.learner, "best")
    assert step == 8 and not warnings
    here, there = leaves_of(loop.init(8).learner), leaves_of(learner)
    assert all(np.array_equal(here[name], there[name]) for name in here)
    assert restoring.restore(run, template, "best")[0] == 8
    assert restoring.restore(run, template)[0] == 24
    # One that is damaged gives way to the next best, and is told of.
    damage(run, 8)
    step, _, warnings = restoring.restore_learner(run, template.learner, "best")
    assert step == 16 and len(warnings) == 1 and "checkpoint 8 is damaged" in warnings[0]


def test_nothing_is_best_where_nothing_was_evaluated(evaluated: tuple[pathlib.Path, Loop]) -> None:
    run, loop = evaluated
    (run / "metrics.jsonl").unlink()
    with pytest.raises(UserError, match=r"none of the checkpoints of .* was evaluated"):
        restoring.restore_learner(run, loop.template().learner, "best")
