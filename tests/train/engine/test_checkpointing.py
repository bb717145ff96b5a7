"""Which checkpoints of a run are kept."""

import json
import pathlib

import pytest

from awr_mjx.train.engine import restoring
from awr_mjx.train.engine.checkpointing import Checkpoints
from awr_mjx.train.engine.loop import Loop
from tests.trained import make_player


def evaluated(saves: Checkpoints, env_steps: int, mode_return: float) -> None:
    """What an evaluation leaves, which comes after the save."""
    saves.returns[env_steps] = mode_return
    with (saves.run / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"env_steps": env_steps, "mode_return": mode_return}) + "\n")


@pytest.mark.parametrize("resumed", [False, True])
def test_newest_and_best_are_kept(tmp_path: pathlib.Path, resumed: bool) -> None:
    player = make_player("cartpole")
    state = Loop(player.env, player.config.awr, player.config.num_envs).init(0)
    saves = Checkpoints(tmp_path, keep=2, with_ring=False)
    # Some are saved without an evaluation; the best one is old when the run is resumed.
    for env_steps, mode_return in ((1, 5.0), (2, 9.0), (3, None), (4, 7.0), (5, 8.0), (6, None)):
        if resumed and env_steps == 4:
            saves.close()
            saves = Checkpoints(tmp_path, keep=2, with_ring=False)
        assert saves.save(state, env_steps) is None
        assert saves.wait() is None
        if mode_return is not None:
            evaluated(saves, env_steps, mode_return)
    assert restoring.steps(tmp_path) == [2, 5, 6]
    assert restoring.mode_returns(tmp_path) == {2: 9.0, 5: 8.0}
    assert saves.save(state, 7) is None
    evaluated(saves, 7, 10.0)  # a better one takes its place, with the next save
    for env_steps in (8, 9):
        assert saves.save(state, env_steps) is None
    assert saves.wait() is None
    assert restoring.steps(tmp_path) == [7, 8, 9]
    saves.close()
