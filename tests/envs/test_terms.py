"""The parts of the reward that the lander tells add up to it, in every step of whole episodes."""

from typing import Any

import jax
import numpy as np

from awr_mjx.envs import registry
from awr_mjx.envs.advance import terms


def test_terms_add_up_to_the_reward() -> None:
    env = registry.make("lunar_lander")

    def step(state: Any, key: jax.Array) -> tuple[Any, Any]:
        action = jax.random.randint(key, (32,), 0, env.action_size)
        after = jax.vmap(env.step)(state, action)
        named = terms(env, state, action, after)
        parts = {part: x for part, x in named.items() if part.startswith("reward_")}
        return after, (after.reward, parts, state.done > 0)

    def episodes(key: jax.Array) -> Any:
        start = jax.vmap(env.reset)(jax.random.split(key, 32))
        return jax.lax.scan(step, start, jax.random.split(key, 150))[1]

    reward, parts, over = jax.jit(episodes)(jax.random.key(0))
    played = ~np.maximum.accumulate(np.asarray(over))
    assert len(parts) == 4 and played.sum() > 300
    total = np.sum([np.asarray(x) for x in parts.values()], axis=0)
    np.testing.assert_allclose(total[played], np.asarray(reward)[played], rtol=1e-5, atol=1e-5)
    assert (np.asarray(parts["reward_crashed"])[played] == -100).sum() > 15  # a random lander crashes
