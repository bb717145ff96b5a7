"""A policy in one environment, step by step, for whoever shows it: `train.render` and `train.watch`."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm.distributions import Categorical
from awr_mjx.algorithm.learner import LearnerState
from awr_mjx.envs import base, tables
from awr_mjx.envs.advance import Advance, infinities, judged, strong
from awr_mjx.envs.base import BrokenTask
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.player import Player
from awr_mjx.train.engine.streams import stream


@dataclasses.dataclass(frozen=True)
class Shown:
    """What there is to see after a control step.

    Attributes:
      pose: float64 [P], the task's `positions` (`awr_mjx.envs.base.Env`).
      action: float32 [A], as the policy gave it, not clipped; zeros before the first step.
      reward: of this step.
      total: return of the episode so far.
      steps: control steps of the episode so far.
      over: the episode has ended; the next step begins another.
      ghost: float64 [P], the positions of what is imitated (`wanted_positions`), or None where nothing is.
      chances: float32 [A], the policy's probabilities of discrete actions, of which it chose `action`; zeros before the
        first step, and None where actions are not discrete.
      value: V(s) of the state in which it chose, or None where no values were learned, and before the first step.
    """

    pose: np.ndarray
    action: np.ndarray
    reward: float
    total: float
    steps: int
    over: bool
    ghost: np.ndarray | None = None
    chances: np.ndarray | None = None
    value: float | None = None


# What a policy makes of a state: its action [A] or [], the probabilities of discrete ones [A] or None, V(s) [] or None.
Choice = tuple[jax.Array, jax.Array | None, jax.Array | None]


def one(tree: Any) -> Any:
    """One environment's leaves [...] as those of a batch, [1, ...]."""
    return jax.tree.map(lambda x: x[None], tree)


class Live:
    """Plays one environment. All calls must come from one thread.

    Attributes:
      trained: steps of the training that made the policy that plays.
      sampled: whether actions are drawn from the policy, instead of its most probable one.
      shown: what there is to see now.
    """

    def __init__(self, player: Player, seed: int, exact: bool = False) -> None:
        """Begins an episode of `player`'s task, whose start state follows from `seed`.

        It is played in the task's `exact` physics if asked for, and if that is another one.

        Raises:
          UserError: if the task does not say what there is to see.
          BrokenTask: if what it says are not the positions of its MuJoCo model.
        """
        if not hasattr(player.env, "positions"):
            raise UserError(f"task {player.config.env!r} cannot be shown: it has no positions(state)")
        self._player, self.sampled = player, False
        # All arrays are put there by name: JAX compiles anew for those that only happen to be there.
        self._device = jax.devices()[0]
        self.use(player.learned, player.steps)
        env, learner = player.env, player.learner

        # The policy is an argument, not a constant: any checkpoint then uses the same compiled program, which JAX keeps
        # on the disk.
        def act(learned: LearnerState, state: Any, key: jax.Array, sampled: bool) -> Choice:
            policy = learner.policy(learned.policy, learned.normalizer, state.obs)
            chances = jax.nn.softmax(policy.logits) if isinstance(policy, Categorical) else None
            value = learner.value(learned, state.obs) if learner.config.value_updates else None
            return jnp.where(sampled, policy.sample(key), policy.mode()), chances, value

        def judge(stepped: Any, start: Any, steps: int) -> Advance:
            moved = judged(env, stepped, jnp.full(1, steps, jnp.int32), infinities(one(start)))
            return jax.tree.map(lambda x: x[0], moved)

        def step(
            learned: LearnerState, state: Any, start: Any, steps: int, key: jax.Array, sampled: bool
        ) -> tuple[Advance, Choice]:
            choice = act(learned, state, key, sampled)
            return judge(strong(jax.vmap(env.step)(one(state), choice[0][None])), start, steps), choice

        self._robots: Any = base.exact(env, 1, 1) if exact else None
        self._act, self._judge = jax.jit(act), tables.jit(judge, env)

        self._step, self._reset = tables.jit(step, env), tables.jit(lambda key: strong(env.reset(key)), env)
        self._wanted = tables.jit(env.wanted_positions, env) if hasattr(env, "wanted_positions") else None
        self._push = tables.jit(env.pushed, env) if self.can_be_pushed else None  # type: ignore[attr-defined]
        self._reset_in = tables.jit(lambda clip, row: strong(env.start(clip, row)), env)  # type: ignore[attr-defined]
        self.reset(seed)
        found, model = self.shown.pose.shape, getattr(env, "mj_model", None)
        if model is not None and not hasattr(env, "picture") and found != (model.nq,):
            raise BrokenTask(
                f"broken task: positions gives {list(found)} numbers, and the model has {model.nq} in qpos"
            )

    @property
    def can_be_pushed(self) -> bool:
        """Whether the task knows what a push is."""
        return hasattr(self._player.env, "pushed")

    @property
    def clip_seconds(self) -> tuple[float, ...]:
        """How far into each of the task's clips an episode can begin (s); nothing where it can in none."""
        env: Any = self._player.env
        return tuple((rows - 1) * float(env.mj_model.opt.timestep) for rows in getattr(env, "clip_rows", ()))

    def reset(self, seed: int) -> None:
        """Begins an episode whose start state follows from `seed` alone, as do those after it."""
        self._seed, self._episode = jax.device_put(stream(seed, "live"), self._device), 0
        self._begin()

    def begin_in(self, clip: int, seconds: float) -> None:
        """Begins an episode `seconds` into clip number `clip`, or as near to that as one can begin.

        Raises:
          UserError: if the task has no such clip.
        """
        if not 0 <= clip < len(self.clip_seconds):
            raise UserError(f"this task has no clip {clip} to begin in")
        env: Any = self._player.env
        row = round(seconds / float(env.mj_model.opt.timestep))
        self._begin((clip, min(max(row, 0), env.clip_rows[clip] - 1)))

    def _begin(self, place: tuple[int, int] | None = None) -> None:
        """Begins an episode where the seed has it, or in a row of a clip."""
        key_start, self._key = jax.random.split(jax.random.fold_in(self._seed, self._episode))
        self._state = self._start = self._reset_in(*map(np.int32, place)) if place else self._reset(key_start)
        self._episode += 1
        if self._robots:
            self._robots.begin(one(self._state))
        self._total, self._steps = 0.0, 0
        nothing = np.zeros(self._player.env.action_size, np.float32)
        if self._player.env.discrete:
            self._show(nothing[:1], 0.0, over=False, chances=nothing)
        else:
            self._show(nothing, 0.0, over=False)

    def step(self) -> None:
        """Goes on by one control step, or to a new episode if one has just ended."""
        if self.shown.over:
            self._begin()
            return
        key = jax.random.fold_in(self._key, self._steps)
        if self._robots:
            choice = self._act(self._learned, self._state, key, self.sampled)
            stepped = self._robots.step(one(self._state), choice[0][None], np.ones(1, bool))
            moved = self._judge(stepped, self._start, self._steps)
        else:
            moved, choice = self._step(self._learned, self._state, self._start, self._steps, key, self.sampled)
        if moved.sound:  # else the pose before is shown as the episode's last
            self._state = moved.state
        reward = float(moved.reward)
        self._total, self._steps = self._total + reward, self._steps + 1
        action, chances, value = jax.device_get(choice)
        self._show(np.atleast_1d(np.float32(action)), reward, bool(moved.ended), chances, value)

    def push(self, velocity: tuple[float, float, float]) -> None:
        """Changes the body's velocity by `velocity` (m/s; forward, left, up) at once.

        Raises:
          UserError: if the task does not know what that is.
        """
        if self._push is None:
            raise UserError("this task cannot be pushed")
        self._state = self._push(self._state, jnp.asarray(velocity, jnp.float32))

    def use(self, learned: LearnerState, trained: int) -> None:
        """Goes on with another policy of the same networks, of a training of `trained` steps."""
        self._learned, self.trained = jax.device_put(learned, self._device), trained

    def _show(
        self, action: np.ndarray, reward: float, over: bool, chances: np.ndarray | None = None, value: Any = None
    ) -> None:
        pose = np.asarray(self._player.env.positions(self._state), np.float64)  # type: ignore[attr-defined]
        ghost = np.asarray(self._wanted(self._state), np.float64) if self._wanted else None
        value = None if value is None else float(value)
        self.shown = Shown(pose, action, reward, self._total, self._steps, over, ghost, chances, value)
