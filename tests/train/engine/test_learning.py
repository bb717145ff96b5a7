"""The whole algorithm learns: the presets of the two quick tasks reach 95 % of their maximum return, from two seeds."""

import jax
import numpy as np
import pytest

from awr_mjx.envs import registry
from awr_mjx.train.engine.evaluation import Evaluator
from awr_mjx.train.engine.loop import Loop
from awr_mjx.train.engine.presets import PRESETS, preset


@pytest.mark.parametrize("name", ["cartpole", "inverted_pendulum"])
@pytest.mark.parametrize("seed", [0, 1])
def test_preset_solves_the_task(name: str, seed: int) -> None:
    assert name in PRESETS
    config = preset(name)
    env = registry.make(name)
    loop = Loop(env, config.awr, config.num_envs, config.epoch_iterations)
    evaluate = Evaluator(env, loop.learner, config.eval_envs)
    state = loop.init(seed)
    for _ in range(config.num_steps // config.epoch_steps):
        state, _ = loop.epoch(state)
    found = evaluate(state.learner.policy, state.learner.normalizer, jax.random.key(7))
    # Both tasks give a reward of 1 per step, so the time limit is the highest return.
    assert np.mean(found.returns) >= 0.95 * env.episode_length
    np.testing.assert_array_equal(found.returns, found.lengths)
