"""Whole episodes of a policy, all at once."""

import contextlib
import dataclasses
import math
import operator
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import NamedSharding

from awr_mjx.algorithm.learner import Learner
from awr_mjx.algorithm.normalizer import Normalizer
from awr_mjx.envs import tables
from awr_mjx.envs.advance import LIMIT, infinities, judged, select, strong, summed, terms
from awr_mjx.envs.base import Env, exact
from awr_mjx.envs.checks import raised
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.jax_setup import cores
from awr_mjx.train.engine.loop import FIRST, SAME, share_out

EXACT_MOST = 4096  # a robot of C MuJoCo takes half a megabyte
LOOK = 0.25  # s between two looks at whether to go on
_ACTIONS = 0x5A3D_11E5  # far from 0, 1, 2, which are the keys of a task that splits the one of its reset


@struct.dataclass
class Episodes:
    """What E episodes gave.

    Attributes:
      returns: float32 [E].
      lengths: int32 [E], control steps.
      broken: bool [E], a step that broke the task ended it.
      terms: float32 [E, 2] by name: what the task has to log (`awr_mjx.envs.advance.terms`), summed over the episode's
        sound steps in which it is finite, and how many they are.
    """

    returns: Any
    lengths: Any
    broken: Any
    terms: dict[str, Any]

    def terms_per_step(self) -> dict[str, float]:
        """The mean of each term, named `terms/NAME`, over all steps in which it is finite; without those of none."""
        found = {}
        for name, pair in self.terms.items():
            total, steps = np.asarray(pair, np.float64).sum(axis=0).tolist()
            if steps and math.isfinite(total):
                found[f"terms/{name}"] = total / steps
        return found

    def return_share(self, env: Env) -> float | None:
        """The mean return as a share of the most that an episode of `env` can return; None if it does not say."""
        most = getattr(env, "return_max", None)
        return None if most is None else float(np.asarray(self.returns).mean()) / most

    def whole(self, limit: int) -> float:
        """The share of the episodes that lasted to their time limit of `limit` control steps."""
        return float((np.asarray(self.lengths) >= limit).mean())

    def trouble(self) -> str | None:
        """A line on the episodes that the task has cut short by breaking; None if there is none."""
        count, episodes = int(self.broken.sum()), len(self.broken)
        what = f"ended by a step that broke the task (a number that is not finite or beyond {LIMIT:g})"
        return f"{count} of {episodes} episodes were {what}" if count else None


@struct.dataclass
class _Playing:
    """Episodes under way: states [E, ...], which are alive, bool [E], and each leaf's `infinities`, bool [E].

    `keys` [E] are those of the episodes' actions.
    """

    state: Any
    alive: jax.Array
    keys: jax.Array
    meant: list[jax.Array]
    seen: Episodes


class Evaluator:
    """Plays E = `episodes` episodes of a policy's mode action; called with policy parameters, normaliser and key.

    With `sample`, actions are drawn from the policy, as in training.

    All episodes start afresh, at once, and each is played to its own end: failure, time limit, or a step that breaks
    the task, which ends it where it is and does not pay. The devices of `mesh`, if given, share them.
    """

    _each = SAME  # what a device has of policies and normalisers

    def __init__(
        self, env: Env, learner: Learner, episodes: int, mesh: jax.sharding.Mesh | None = None, sample: bool = False
    ) -> None:
        self.env, self.learner, self.episodes, self.mesh, self.sample = env, learner, episodes, mesh, sample
        if mesh:
            self._start = share_out(self._reset, mesh, (self._each, self._each, FIRST), FIRST, env)
            self._go_on = share_out(self._play, mesh, (self._each, self._each, FIRST, SAME), FIRST, env)
        else:
            self._start, self._go_on = tables.jit(self._reset, env), tables.jit(self._play, env)

    def _act(self, policy: Any, stats: Normalizer, now: _Playing) -> jax.Array:
        obs = now.state.obs
        if not self.sample:
            return self.learner.policy(policy, stats, obs).mode()
        keys = jax.vmap(jax.random.fold_in)(now.keys, now.seen.lengths)
        return jax.vmap(lambda obs, key: self.learner.policy(policy, stats, obs).sample(key))(obs, keys)

    def _moved(self, now: _Playing, action: jax.Array, stepped: Any) -> _Playing:
        """What has been seen when `action` has led to the task's states `stepped`."""
        alive, seen = now.alive, now.seen
        moved = judged(self.env, stepped, seen.lengths, [x[0] for x in now.meant])
        named = terms(self.env, now.state, action, moved.state)
        seen = Episodes(
            returns=seen.returns + jnp.where(alive, moved.reward, 0.0),
            lengths=seen.lengths + alive,
            broken=seen.broken | (alive & ~moved.sound),
            terms={k: total + summed(named[k], alive & moved.sound) for k, total in seen.terms.items()},
        )
        state = select(moved.sound, moved.state, now.state)
        return _Playing(state, alive & ~moved.ended, now.keys, now.meant, seen)

    def _reset(self, policy: Any, stats: Normalizer, keys: jax.Array) -> _Playing:
        count = keys.shape[0]
        state = strong(jax.vmap(self.env.reset)(keys))
        keys = jax.vmap(lambda key: jax.random.fold_in(key, _ACTIONS))(keys)
        seen = Episodes(jnp.zeros(count), jnp.zeros(count, jnp.int32), jnp.zeros(count, bool), {})
        meant = [jnp.broadcast_to(x, (count,)) for x in infinities(state)]
        playing = _Playing(state, jnp.ones(count, bool), keys, meant, seen)
        named = jax.eval_shape(lambda now: terms(self.env, state, self._act(policy, stats, now), state), playing)
        zeros = {name: jnp.zeros((count, 2)) for name in named}
        return dataclasses.replace(playing, seen=dataclasses.replace(seen, terms=zeros))

    def _stepped(self, policy: Any, stats: Normalizer, now: _Playing) -> _Playing:
        """The episodes after another control step."""
        action = self._act(policy, stats, now)
        return self._moved(now, action, strong(jax.vmap(self.env.step)(now.state, action)))

    def _play(self, policy: Any, stats: Normalizer, playing: _Playing, steps: jax.Array) -> _Playing:
        """Plays on for `steps` control steps, or until no episode is alive."""

        def step(carry: tuple[jax.Array, _Playing]) -> tuple[jax.Array, _Playing]:
            time, now = carry
            return time + 1, self._stepped(policy, stats, now)

        def unfinished(carry: tuple[jax.Array, _Playing]) -> jax.Array:
            return (carry[0] < steps) & carry[1].alive.any()

        return jax.lax.while_loop(unfinished, step, (jnp.int32(0), playing))[1]

    def compile(self, policy: Any, stats: Normalizer) -> None:
        """Compiles what an evaluation needs, by one of no step."""
        policy, stats = self._placed(policy, stats)
        self._go_on(policy, stats, self._start(policy, stats, self._keys(jax.random.key(0))), np.int32(0))

    def __call__(self, policy: Any, stats: Normalizer, key: jax.Array) -> Episodes:
        """What all episodes gave, as NumPy arrays."""
        found = self.unless(lambda: False, policy, stats, key)
        assert found, "nothing has stopped it"
        return found

    def unless(self, stopped: Callable[[], bool], policy: Any, stats: Normalizer, key: jax.Array) -> Episodes | None:
        """The same, but None as soon as `stopped()`, which is asked every `LOOK` seconds or so."""
        found = self._played(stopped, *self._placed(policy, stats), self._keys(key))
        return None if found is None else jax.tree.map(lambda x: x[: self.episodes], found)

    def _played(self, stopped: Callable[[], bool], policy: Any, stats: Normalizer, keys: jax.Array) -> Episodes | None:
        playing = self._start(policy, stats, keys)
        steps = 1  # as many at a time as take about `LOOK` seconds
        while not stopped():
            asked = time.monotonic()
            playing = self._go_on(policy, stats, playing, np.int32(steps))
            if not np.asarray(playing.alive).any():
                return jax.tree.map(np.asarray, playing.seen)
            if time.monotonic() - asked < LOOK / 2:
                steps *= 2
        return None

    def _placed(self, policy: Any, stats: Normalizer) -> tuple[Any, Normalizer]:
        """Policy and normaliser on all devices; those of one training of many are on one."""
        return jax.device_put((policy, stats), NamedSharding(self.mesh, SAME)) if self.mesh else (policy, stats)

    def _keys(self, key: jax.Array) -> jax.Array:
        """A key for each episode; the devices play equally many, and what is too many is not counted."""
        keys = jax.random.split(key, self.episodes)
        if self.mesh:
            keys = keys[jnp.arange(-(-self.episodes // self.mesh.size) * self.mesh.size) % self.episodes]
        return keys


class ManyEvaluator(Evaluator):
    """Plays E episodes of each of K policies at once, on the devices of `mesh` that have them: arrays [K, ...]."""

    _each = FIRST

    def _reset(self, policy: Any, stats: Normalizer, keys: jax.Array) -> _Playing:
        return jax.vmap(super()._reset)(policy, stats, keys)

    def _stepped(self, policy: Any, stats: Normalizer, now: _Playing) -> _Playing:
        return jax.vmap(super()._stepped)(policy, stats, now)

    def _placed(self, policy: Any, stats: Normalizer) -> tuple[Any, Normalizer]:
        return policy, stats  # where they are

    def _keys(self, key: jax.Array) -> jax.Array:
        return jax.vmap(lambda one: jax.random.split(one, self.episodes))(key)

    def compile(self, policy: Any, stats: Normalizer) -> None:
        """As `Evaluator.compile`."""
        keys = self._keys(jax.random.split(jax.random.key(0), len(stats.mean)))
        self._go_on(policy, stats, self._start(policy, stats, keys), np.int32(0))

    def each(
        self, stopped: Callable[[], bool], policy: Any, stats: Normalizer, keys: jax.Array
    ) -> list[Episodes] | None:
        """What the episodes of each policy gave, with `keys` [K]; None as soon as `stopped()`."""
        found = self._played(stopped, policy, stats, self._keys(keys))
        return None if found is None else [jax.tree.map(operator.itemgetter(i), found) for i in range(len(keys))]


class ExactEvaluator(Evaluator):
    """The same in the exact physics of a task that trains on an approximation, on the host's cores.

    `env.exact` says how its robots are stepped (`awr_mjx.envs.base.Env`); policies act on the host too.
    """

    def __init__(self, env: Env, learner: Learner, episodes: int, robots: Any, sample: bool = False) -> None:
        """`robots` are `episodes` that `env.exact` has given."""
        super().__init__(env, learner, episodes, sample=sample)
        self._robots = robots
        try:
            self._host = jax.devices("cpu")[0]
        except RuntimeError:  # JAX_PLATFORMS leaves it out
            self._host = jax.devices()[0]
        self._next, self._seen = jax.jit(self._act), jax.jit(self._moved)

    def compile(self, policy: Any, stats: Normalizer) -> None:
        """Compiles what an evaluation needs, by one of a step that no robot takes."""
        policy, stats, playing = self._begun(policy, stats, jax.random.key(0))
        action = self._next(policy, stats, playing)
        with _named():
            self._robots.begin(playing.state)
            stepped = self._robots.step(playing.state, action, np.zeros(self.episodes, bool))
        self._seen(playing, action, stepped)

    def unless(self, stopped: Callable[[], bool], policy: Any, stats: Normalizer, key: jax.Array) -> Episodes | None:
        """As `Evaluator.unless`; `stopped()` is asked in every control step."""
        policy, stats, playing = self._begun(policy, stats, key)
        with _named():
            self._robots.begin(playing.state)
        while not stopped():
            alive = np.asarray(playing.alive)
            if not alive.any():
                return jax.tree.map(np.asarray, playing.seen)
            action = self._next(policy, stats, playing)
            with _named():
                stepped = self._robots.step(playing.state, action, alive)
            playing = self._seen(playing, action, stepped)
        return None

    def _begun(self, policy: Any, stats: Normalizer, key: jax.Array) -> tuple[Any, Normalizer, _Playing]:
        """Policy and normaliser on the host, and the episodes there."""
        policy, stats, keys = jax.device_put((policy, stats, self._keys(key)), self._host)
        return policy, stats, self._start(policy, stats, keys)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    """Raises BrokenTask for whatever a task's exact physics raises."""
    try:
        yield
    except Exception as error:  # of whatever kind somebody else's code raises
        raise raised("its exact physics", error) from error


def exact_evaluator(
    env: Env, learner: Learner, episodes: int, sample: bool = False, setting: str = "eval_envs"
) -> ExactEvaluator | None:
    """One on all cores; None if the task's own physics is exact, or it has no other.

    Raises:
      UserError: if these are more episodes, which `setting` says, than there can be robots at once.
    """
    if not exact(env, 1, 1):
        return None
    if episodes > EXACT_MOST:
        raise UserError(
            f"at most {EXACT_MOST:,} episodes are played at once in the exact physics, not {episodes:,}: lower "
            f"--{setting}, or play in the fast physics"
        )
    return ExactEvaluator(env, learner, episodes, exact(env, episodes, cores()), sample)
