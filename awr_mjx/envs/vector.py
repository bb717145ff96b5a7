"""N environments stepped as one: time limits, next-step auto-reset, fresh resets, quarantine.

The rule that makes a replay ring cheap and right, called NEXT_STEP in Gymnasium 1.0: when an episode ends, the
environment stays as it is for one more row, so the next observation is the true final one. In that row the action is
ignored, the environment is reset, and the row is not valid. The successor of every valid row is simply the next row.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from awr_mjx.envs.advance import advance, infinities, select, sound, strong, summed, terms
from awr_mjx.envs.base import BrokenTask, Env

POOL_SHARE = 4  # the pool holds N / 4 reset states
POOL_PARTS = 4  # it is re-drawn in parts of this number
POOL_MIN = 64


@struct.dataclass
class VectorState:
    """Attributes, for N environments and P reset states:

    env: the task's state, leaves [N, ...]; `env.obs` [N, O] is the observation to act on next.
    ended: bool [N], the episode is over and the next step resets the environment.
    steps: int32 [N], control steps since the reset.
    episode_return: float32 [N], reward since the reset.
    whole: bool [N], False for the first episodes, which start at a random phase of the time limit.
    pool: reset states, leaves [P, ...].
    pool_head: int32 [], how many resets there were since the pool was last re-drawn: its first places are used up.
    """

    env: Any
    ended: jax.Array
    steps: jax.Array
    episode_return: jax.Array
    whole: jax.Array
    pool: Any
    pool_head: jax.Array


@struct.dataclass
class Outcome:
    """What one step of N environments gave, leaves [N].

    Attributes:
      reward: float32, 0 where not valid.
      terminated: bool, the task ended the episode by its own rule.
      valid: bool, False where the environment was being reset or the step broke it.
      quarantined: bool, the step gave a number that is not finite, or beyond `awr_mjx.envs.advance.LIMIT`.
      finished: bool, a whole episode ended here, with `episode_return` (reward) and `episode_steps` (control steps).
      terms: float32 [2] by name: what the task has to log (`awr_mjx.envs.advance.terms`), summed over the valid
        environments in which it is finite, and how many they are.
    """

    reward: jax.Array
    terminated: jax.Array
    valid: jax.Array
    quarantined: jax.Array
    finished: jax.Array
    episode_return: jax.Array
    episode_steps: jax.Array
    terms: dict[str, jax.Array]


def _mended(pool: Any) -> Any:
    """Reset states, leaves [P, ...], with broken ones replaced by sound ones, in turn."""
    good = sound(pool, infinities(pool))
    place = jnp.arange(good.shape[0])
    sound_first = jnp.argsort(~good)
    place = jnp.where(good, place, sound_first[place % jnp.maximum(good.sum(), 1)])
    return jax.tree.map(lambda x: x[place], pool)


class VectorEnv:
    """N = `num_envs` copies of a task with its time limit applied; pure functions over a `VectorState`."""

    def __init__(self, env: Env, num_envs: int, training: bool = False) -> None:
        """Takes the task; in `training` episodes also end where the task gives them up (`awr_mjx.envs.advance`)."""
        most = getattr(env, "max_envs", None)
        if most is not None and num_envs > most:
            raise BrokenTask(f"this task steps at most {most} environments at once, not {num_envs}: lower num_envs")
        self.env, self.num_envs, self._training = env, num_envs, training
        self.pool_size = max(POOL_MIN, num_envs // POOL_SHARE)
        self._part = self.pool_size // POOL_PARTS
        self.pool_size = self._part * POOL_PARTS

    def init(self, key: jax.Array) -> VectorState:
        """N environments just reset, their first episodes at random phases of the time limit.

        Without that, all N would reach the time limit in the same step and their data would be correlated.
        """
        key_env, key_pool, key_phase, key_mend = jax.random.split(key, 4)
        n = self.num_envs
        pool = _mended(self._reset(key_pool, self.pool_size))
        env = self._reset(key_env, n)
        env = select(sound(env, infinities(env)), env, self._take(pool, self._anywhere(key_mend)))
        phase = jax.random.randint(key_phase, (n,), 0, self.env.episode_length)
        return VectorState(
            env=env,
            ended=jnp.zeros(n, bool),
            steps=phase.astype(jnp.int32),
            episode_return=jnp.zeros(n),
            whole=jnp.zeros(n, bool),
            pool=pool,
            pool_head=jnp.zeros((), jnp.int32),
        )

    def step(self, state: VectorState, action: jax.Array, key: jax.Array) -> tuple[VectorState, Outcome]:
        """One control step of every environment; `action` [N, A] or [N]. Environments that had ended are reset."""
        meant = infinities(self._take(state.pool, slice(POOL_MIN)))
        moved = advance(self.env, state.env, action, state.steps, meant, self._training)
        valid = moved.sound & ~state.ended
        ended = valid & moved.ended
        reward = jnp.where(valid, moved.reward, 0.0)
        episode_return = state.episode_return + reward
        named = terms(self.env, state.env, action, moved.state)
        outcome = Outcome(
            reward=reward,
            terminated=valid & moved.terminated,
            valid=valid,
            quarantined=~moved.sound & ~state.ended,
            finished=ended & state.whole,
            episode_return=episode_return,
            episode_steps=moved.steps,
            terms={name: summed(x, valid).sum(axis=0) for name, x in named.items()},
        )
        # A broken environment is replaced at once, so that no number of it is ever computed with again.
        fresh = ~valid
        order = state.pool_head + jnp.cumsum(fresh.astype(jnp.int32)) - 1
        # Each reset takes the next place; where there are more than places, the others take any.
        place = jnp.where(order < self.pool_size, order, self._anywhere(key))
        after = VectorState(
            env=select(fresh, self._take(state.pool, jnp.maximum(place, 0)), moved.state),
            ended=ended,
            steps=jnp.where(fresh, 0, moved.steps),
            episode_return=jnp.where(fresh, 0.0, episode_return),
            whole=state.whole | fresh,
            pool=state.pool,
            pool_head=state.pool_head + fresh.sum(dtype=jnp.int32),
        )
        return after, outcome

    def refresh(self, state: VectorState, key: jax.Array) -> VectorState:
        """Re-draws as many reset states as were used since the last call, rounded up to a part of the pool.

        To be called once per iteration. Broken resets are left out.
        """

        def redraw(carry: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
            place, pool = carry
            new = self._reset(jax.random.fold_in(key, place), self._part)
            old = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, place, self._part), pool)
            new = select(sound(new, infinities(new)), new, old)
            put = jax.lax.dynamic_update_slice_in_dim
            return place + self._part, jax.tree.map(lambda x, part: put(x, part, place, axis=0), pool, new)

        used = jnp.minimum(state.pool_head, self.pool_size)
        _, pool = jax.lax.while_loop(lambda carry: carry[0] < used, redraw, (jnp.int32(0), state.pool))
        return state.replace(pool=pool, pool_head=jnp.zeros((), jnp.int32))  # type: ignore[attr-defined]

    def _reset(self, key: jax.Array, count: int) -> Any:
        return strong(jax.vmap(self.env.reset)(jax.random.split(key, count)))

    def _anywhere(self, key: jax.Array) -> jax.Array:
        return jax.random.randint(key, (self.num_envs,), 0, self.pool_size)

    def _take(self, pool: Any, places: Any) -> Any:
        return jax.tree.map(lambda x: x[places], pool)


def random_actions(venv: VectorEnv, key: jax.Array) -> jax.Array:
    """Draws an action for each of N environments: float32 [N, A] in [-1, 1], or int32 [N] choices."""
    if venv.env.discrete:
        return jax.random.randint(key, (venv.num_envs,), 0, venv.env.action_size)
    return jax.random.uniform(key, (venv.num_envs, venv.env.action_size), minval=-1.0, maxval=1.0)
