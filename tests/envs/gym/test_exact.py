"""The fast tasks in C MuJoCo against Gymnasium's own environments, step by step."""

from typing import Any

import jax
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.envs.physics import models
from awr_mjx.envs.registry import TaskOptions

gym = pytest.importorskip("gymnasium")
from docs.studies import one_step  # noqa: E402
from docs.studies.one_step import TASKS  # noqa: E402

EPISODES, STEPS = 3, 60


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("name", TASKS)
def test_it_is_gymnasium(name: str, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same controls from the same starts: observations, rewards and ends, to float32's rounding of them."""
    task: Any = registry.make(name, TaskOptions(full_obs=full))
    if name == "halfcheetah":  # its masses are rounded in our file (test_locomotion), and contacts make that grow
        monkeypatch.setattr(models, "exact", lambda asset: one_step.twin(task).model)
    twin, rng = task.gymnasium, np.random.default_rng(0)
    robots = task.exact(EPISODES, 2)
    state = jax.jit(jax.vmap(task.reset))(jax.random.split(jax.random.key(0), EPISODES))
    robots.begin(state)
    theirs = [gym.make(twin.name, disable_env_checker=True, **twin.options).unwrapped for _ in range(EPISODES)]
    for k, env in enumerate(theirs):
        env.reset(seed=0)
        env.set_state(*(np.asarray(x[k], np.float64) for x in (state.data.qpos, state.data.qvel)))
    alive, ended = np.ones(EPISODES, bool), False
    for _ in range(STEPS):
        action = rng.uniform(-1, 1, (EPISODES, task.action_size)).astype(np.float32)
        state = robots.step(state, action, alive)
        for i in map(int, np.flatnonzero(alive)):
            obs, reward, terminated, _, _ = theirs[i].step(np.asarray(task.ctrl_limit * action[i], np.float32))
            np.testing.assert_allclose(state.obs[i], obs, rtol=2e-6, atol=1e-7)
            # x is of order 1 m in float32 and is divided by a control step.
            assert float(state.reward[i]) == pytest.approx(reward, abs=1e-6 / task.dt + 1e-5 * abs(reward))
            assert bool(state.done[i]) == terminated
            ended = ended or bool(terminated)
        alive &= np.asarray(state.done) == 0
    assert ended or name in ("ant", "halfcheetah")
    for env in theirs:
        env.close()
