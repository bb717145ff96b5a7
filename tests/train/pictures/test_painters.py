"""Who draws, and from where."""

import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.pictures import painters
from awr_mjx.train.pictures.live import Shown
from tests.tasks import Walk


def test_cameras() -> None:
    env = registry.make("inverted_pendulum")
    assert painters.find_camera(env, None) == painters.CHASE
    assert painters.find_camera(env, "track") == "track"
    assert painters.find_camera(env, "free") == -1
    with pytest.raises(UserError, match="no camera 'nose'; it has track, chase, free"):
        painters.find_camera(env, "nose")
    with pytest.raises(UserError, match="cannot be rendered yet"):
        painters.find_camera(Walk(), None)


@pytest.mark.parametrize(
    ("task", "pose"), [("lunar_lander", [5.0] * 9 + [3.3] * 11 + [0.0] * 2), ("cartpole", [0.5, 0.1])]
)
def test_task_that_draws_itself_needs_no_camera(task: str, pose: list[float]) -> None:
    env = registry.make(task)
    assert painters.find_camera(env, None) == -1
    with pytest.raises(UserError, match="draws its own picture; leave --camera out"):
        painters.find_camera(env, "track")
    with painters.painter(env, 64, 48, -1) as paint:
        assert paint(Shown(np.array(pose), np.zeros(1), 0.0, 0.0, 0, over=False)).shape == (48, 64, 3)
