"""Which checkpoints of a run are kept."""

import pathlib

import pytest

from tests.trained import make_player
from train.engine import restoring
from train.engine.checkpointing import Checkpoints
from train.engine.loop import Loop


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
        assert saves.save(state, env_steps, mode_return) is None
        assert saves.wait() is None
    assert restoring.steps(tmp_path) == [2, 5, 6]
    assert restoring.mode_returns(tmp_path) == {2: 9.0, 5: 8.0}
    assert saves.save(state, 7, 10.0) is None  # a better one takes its place
    assert saves.wait() is None
    assert restoring.steps(tmp_path) == [6, 7]
    saves.close()
