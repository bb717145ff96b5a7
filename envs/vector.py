"""N environments stepped as one: time limits, next-step auto-reset, fresh resets, quarantine.

The rule that makes a replay ring cheap and right, called NEXT_STEP in Gymnasium 1.0: when an episode ends, the
environment stays as it is for one more row, so the next observation is the true final one. In that row the action is
ignored, the environment is reset, and the row is not valid. The successor of every valid row is simply the next row.
"""

import traceback
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from envs.base import Env, State

POOL_SHARE = 4  # the pool holds N / 4 reset states; a quarter of them is re-drawn per `refresh`
POOL_MIN = 64


LIMIT = 1e6  # observations and rewards beyond this are an explosion; no robot's numbers in SI units reach it


class BrokenTask(ValueError):
    """A task whose reset or step does not give what the protocol promises; the message is one line for its author."""


@struct.dataclass
class VectorState:
    """Attributes, for N environments and P reset states:

    env: the task's state, leaves [N, ...]; `env.obs` [N, O] is the observation to act on next.
    ended: bool [N], the episode is over and the next step resets the environment.
    steps: int32 [N], control steps since the reset.
    episode_return: float32 [N], reward since the reset.
    whole: bool [N], False for the first episodes, which start at a random phase of the time limit.
    pool: reset states, leaves [P, ...].
    pool_head: int32 [], the next place of the pool to be re-drawn.
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
      quarantined: bool, the step gave a number that is not finite, or beyond `LIMIT`.
      finished: bool, a whole episode ended here, with `episode_return` (reward) and `episode_steps` (control steps).
    """

    reward: jax.Array
    terminated: jax.Array
    valid: jax.Array
    quarantined: jax.Array
    finished: jax.Array
    episode_return: jax.Array
    episode_steps: jax.Array


def strong(tree: Any) -> Any:
    """The same arrays (any shapes [...]) without weak types: a weakly typed state would compile every program twice."""
    return jax.tree.map(lambda x: x if _is_key(x) else jnp.asarray(x, jnp.asarray(x).dtype), tree)


def _is_key(x: Any) -> bool:
    return isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def select(condition: jax.Array, yes: Any, no: Any) -> Any:
    """Per environment, `yes` where `condition` [N] is true and `no` elsewhere; two trees of leaves [N, ...]."""

    def choose(a: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.where(condition.reshape(condition.shape + (1,) * (a.ndim - condition.ndim)), a, b)

    return jax.tree.map(choose, yes, no)


def all_finite(tree: Any) -> jax.Array:
    """bool [N]: every float in the environment's leaves [N, ...] is finite."""
    leaves = [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]
    checks = [jnp.isfinite(x).reshape(x.shape[0], -1).all(axis=1) for x in leaves]
    return jnp.stack(checks).all(axis=0)


def sound(state: Any) -> jax.Array:
    """bool [N]: all floats of the task's state, leaves [N, ...], are finite, obs and reward within +-`LIMIT`.

    A huge finite number is as bad as NaN: its square overflows, and with it the normaliser's variance, for good.
    """
    bounded = (jnp.abs(state.obs) <= LIMIT).all(axis=-1) & (jnp.abs(state.reward) <= LIMIT)
    return all_finite(state) & bounded


def _mended(pool: Any) -> Any:
    """Reset states, leaves [P, ...], with broken ones replaced by sound ones, in turn."""
    good = sound(pool)
    place = jnp.arange(good.shape[0])
    sound_first = jnp.argsort(~good)
    place = jnp.where(good, place, sound_first[place % jnp.maximum(good.sum(), 1)])
    return jax.tree.map(lambda x: x[place], pool)


class VectorEnv:
    """N = `num_envs` copies of a task with its time limit applied; pure functions over a `VectorState`."""

    def __init__(self, env: Env, num_envs: int) -> None:
        most = getattr(env, "max_envs", None)
        if most is not None and num_envs > most:
            raise BrokenTask(f"this task steps at most {most} environments at once, not {num_envs}: lower num_envs")
        self.env, self.num_envs = env, num_envs
        self.pool_size = max(POOL_MIN, num_envs // POOL_SHARE)
        self._fresh = max(1, self.pool_size // POOL_SHARE)
        self.pool_size = self._fresh * POOL_SHARE

    def init(self, key: jax.Array) -> VectorState:
        """N environments just reset, their first episodes at random phases of the time limit.

        Without that, all N would reach the time limit in the same step and their data would be correlated.
        """
        key_env, key_pool, key_phase, key_mend = jax.random.split(key, 4)
        n = self.num_envs
        pool = _mended(self._reset(key_pool, self.pool_size))
        env = self._reset(key_env, n)
        env = select(sound(env), env, self._draw(pool, key_mend))
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
        stepped = strong(jax.vmap(self.env.step)(state.env, action))
        good = sound(stepped) | state.ended
        valid = good & ~state.ended
        terminated = valid & (stepped.done > 0)
        steps = state.steps + 1
        ended = valid & (terminated | (steps >= self.env.episode_length))

        reward = jnp.where(valid, stepped.reward, 0.0)
        episode_return = state.episode_return + reward
        outcome = Outcome(
            reward=reward,
            terminated=terminated,
            valid=valid,
            quarantined=~good,
            finished=ended & state.whole,
            episode_return=episode_return,
            episode_steps=steps,
        )
        # A broken environment is replaced at once, so that no number of it is ever computed with again.
        fresh = ~valid
        after = VectorState(
            env=select(fresh, self._draw(state.pool, key), stepped),
            ended=ended,
            steps=jnp.where(fresh, 0, steps),
            episode_return=jnp.where(fresh, 0.0, episode_return),
            whole=state.whole | fresh,
            pool=state.pool,
            pool_head=state.pool_head,
        )
        return after, outcome

    def refresh(self, state: VectorState, key: jax.Array) -> VectorState:
        """Re-draws a part of the pool of reset states; once per iteration. Broken resets are left out."""
        new = self._reset(key, self._fresh)
        old = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, state.pool_head, self._fresh), state.pool)
        new = select(sound(new), new, old)
        pool = jax.tree.map(
            lambda x, part: jax.lax.dynamic_update_slice_in_dim(x, part, state.pool_head, axis=0), state.pool, new
        )
        head = (state.pool_head + self._fresh) % self.pool_size
        return state.replace(pool=pool, pool_head=head)  # type: ignore[attr-defined]

    def _reset(self, key: jax.Array, count: int) -> Any:
        return strong(jax.vmap(self.env.reset)(jax.random.split(key, count)))

    def _draw(self, pool: Any, key: jax.Array) -> Any:
        place = jax.random.randint(key, (self.num_envs,), 0, self.pool_size)
        return jax.tree.map(lambda x: x[place], pool)


def random_actions(venv: VectorEnv, key: jax.Array) -> jax.Array:
    """Draws an action for each of N environments: float32 [N, A] in [-1, 1], or int32 [N] choices."""
    if venv.env.discrete:
        return jax.random.randint(key, (venv.num_envs,), 0, venv.env.action_size)
    return jax.random.uniform(key, (venv.num_envs, venv.env.action_size), minval=-1.0, maxval=1.0)


def check_task(env: Env) -> None:
    """Finds out, before anything long starts, whether `env` keeps the protocol of `envs.base`.

    Raises:
      BrokenTask: for an exception, wrong shapes or types, a step whose state is built differently from a reset's, or a
        reset with a number that is not finite.
    """
    missing = [name for name in (*Env.__annotations__, "reset", "step") if not hasattr(env, name)]
    if missing:
        raise BrokenTask(f"broken task: {type(env).__name__} has no {', '.join(sorted(missing))}")
    key = jax.random.key(0)
    reset = _shapes("reset", env.reset, key)
    shape = () if env.discrete else (env.action_size,)
    action = jax.ShapeDtypeStruct(shape, jnp.int32 if env.discrete else jnp.float32)
    for name, want in (("obs", (env.observation_size,)), ("reward", ()), ("done", ())):
        got = getattr(reset, name)
        if got.shape != want or got.dtype != jnp.float32:
            raise BrokenTask(f"broken task: reset gives {name} {got.dtype}{list(got.shape)}, not float32{list(want)}")
    stepped = _shapes("step", env.step, reset, action)
    before, after = jax.tree.flatten_with_path(reset)[0], jax.tree.flatten_with_path(stepped)[0]
    if [p for p, _ in before] != [p for p, _ in after]:
        raise BrokenTask("broken task: the state that step gives has other fields than the one that reset gives")
    for (path, a), (_, b) in zip(before, after, strict=True):
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            before_step, after_step = (f"{x.dtype}{list(x.shape)}" for x in (a, b))
            where = jax.tree_util.keystr(path)
            raise BrokenTask(f"broken task: state{where} is {before_step} after reset, {after_step} after step")
    drawn = strong(jax.jit(jax.vmap(env.reset))(jax.random.split(key, 64)))
    if not bool(sound(drawn).any()):
        raise BrokenTask(f"broken task: every reset of 64 gives a number that is not finite or beyond {LIMIT:g}")


def _shapes(name: str, function: Callable[..., State], *args: Any) -> State:
    """Returns the shapes and types that a task's function gives; its exceptions as one line that says where."""
    try:
        return jax.eval_shape(lambda *a: strong(function(*a)), *args)
    except Exception as error:  # of whatever kind somebody else's code raises
        frames = traceback.extract_tb(error.__traceback__)
        where = [f"{frame.filename}:{frame.lineno}" for frame in frames if "/jax/" not in frame.filename][-1]
        message = " ".join(str(error).split())
        raise BrokenTask(f"broken task: {name} raises {type(error).__name__}: {message} ({where})") from error
