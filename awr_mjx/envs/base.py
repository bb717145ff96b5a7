"""What a task is: the protocol that Brax and MuJoCo Playground already speak, and nothing more.

A task is a pair of pure functions for *one* environment, `reset(key) -> State` and `step(State, action) -> State`.
It ends episodes only for its own reasons (a failure, a goal). Batches, time limits, resets and numbers that are not
finite are the business of `awr_mjx.envs.vector`.
"""

import dataclasses
from typing import Any, Protocol, runtime_checkable

import jax
from flax import struct


class UnknownTask(ValueError):
    """No task has that name or option, or it needs what is not installed; the message is one line that says so."""


class BrokenTask(ValueError):
    """A task whose reset or step does not give what the protocol promises; the message is one line for its author."""


@struct.dataclass
class State:
    """One environment between two control steps; the field names of MuJoCo Playground's `State`.

    Attributes:
      data: whatever the task needs to go on (a pytree of arrays); opaque to everyone else.
      obs: float32 [O], in the task's own units.
      reward: float32 [], of the step that led here; 0 after a reset.
      done: float32 [], 1 if the step ended the episode by the task's own rule (never by a time limit), else 0.
      metrics: named float32 [] numbers of the step that led here, such as the parts of the reward. Training logs the
        mean of each over an iteration's steps as `terms/NAME`, and `train.evaluate` prints those of its episodes.
      info: anything else that has to travel along; empty for most tasks. An infinity that means something, such as a
        time "not yet", must be there from the reset on; one that a step brings about elsewhere counts as broken.
    """

    data: Any
    obs: jax.Array
    reward: jax.Array
    done: jax.Array
    metrics: dict[str, jax.Array] = struct.field(default_factory=dict)
    info: dict[str, Any] = struct.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Twin:
    """The Gymnasium environment that a task follows; a task that has one shows it as `gymnasium`.

    Attributes:
      name: for `gymnasium.make`.
      options: keyword arguments for it, which make its observations and rewards the task's.
      action_scale: Gymnasium's action for the task's action 1.
    """

    name: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    action_scale: float = 1.0


@runtime_checkable
class Env(Protocol):
    """A task. Any object with these members can be trained on.

    Attributes:
      observation_size: O.
      action_size: A, the number of action dimensions, or of actions where `discrete`.
      discrete: True if an action is an int32 [] in 0..A-1; else it is float32 [A] in units of [-1, 1], which the
        task itself clips (the policy does not).
      episode_length: time limit in control steps; `awr_mjx.envs.vector` applies it.
      dt: seconds of simulated time per control step.

    The sizes, limit and dt are Python's own numbers, for they are written into JSON.

    A task may also have `observation_names` [O] and `action_names` [A], which exported policies then carry, and
    `terms(state, action, after) -> dict`, more numbers float32 [] by name to log of the step from `state` to `after`; a
    step in which one is not finite is left out of its mean. If it has `return_max`, the most that an episode can
    return, mean returns are also logged as a share of it. Large constant arrays, such as motion clips, it may hold as
    `tables`, a pytree that can be set: programs are then given them, and are the same for others of their shapes. One
    that can be shown has `positions(state) -> float32 [P]` and either a MuJoCo model, `mj_model`, whose `qpos` they
    are, or `picture(positions, action, width, height) -> uint8 [height, width, 3]`, which draws them (NumPy's [P] and
    [A], [1] where `discrete`; `awr_mjx.envs.drawing` has shapes for it); one that imitates has
    `wanted_positions(state) -> float32 [P]`, which pictures show translucent, and, if an episode can begin anywhere in
    its clips, `start(clip, row) -> State`, int32 [] both, and `clip_rows`, which says how many rows each clip has to
    begin in, a `mj_model.opt.timestep` each; one that can be pushed has `pushed(state, velocity) -> State`, with
    `velocity` float32 [3] in m/s. Where `given_up(state) -> bool []`, if there, is true, training ends the episode as
    failed; evaluations go on. One whose policies take more to play than observations has `deployment() -> dict` of
    plain JSON values, which exported policies carry. One whose physics is an approximation may have `exact(count,
    threads)`, which gives `count` environments in the exact physics, on so many of the host's cores, or None:
    `begin(state)` puts them where `state`, leaves [count, ...], has them, and `step(state, action, which)` moves those
    `which` bool [count] and returns the states. Mode returns are then those of the exact physics. What is odd about a
    task it may have as `remarks`, lines that training shows.
    """

    observation_size: int
    action_size: int
    discrete: bool
    episode_length: int
    dt: float

    def reset(self, key: jax.Array) -> Any:
        """Returns the first `State` of a fresh episode, drawn with a typed PRNG `key`."""
        ...

    def step(self, state: Any, action: jax.Array) -> Any:
        """Returns the `State` one control step of `dt` seconds later; `action` is float32 [A] or int32 []."""
        ...


def exact(env: Env, count: int, threads: int) -> Any:
    """Returns what the task's own `exact` gives; None if it has none, or its physics is no approximation."""
    return env.exact(count, threads) if hasattr(env, "exact") else None


def observation_names(env: Env) -> list[str]:
    """Names of the O observations: the task's own `observation_names`, or numbered ones.

    Raises:
      BrokenTask: if the task has another number of them, or what is no name.
    """
    return _names(env, "observation_names", env.observation_size, "obs")


def action_names(env: Env) -> list[str]:
    """Names of the A actions: the task's own `action_names`, or numbered ones.

    Raises:
      BrokenTask: if the task has another number of them, or what is no name.
    """
    return _names(env, "action_names", env.action_size, "action")


def _names(env: Env, attribute: str, size: int, stem: str) -> list[str]:
    own = getattr(env, attribute, None)
    if own is None:
        return [f"{stem}_{i}" for i in range(size)]
    if isinstance(own, str) or not all(isinstance(name, str) for name in own):
        raise BrokenTask(f"broken task: {attribute} is {own!r}, not a list of {size} names")
    if len(own) != size:
        raise BrokenTask(f"broken task: {attribute} has {len(own)} names, and there are {size} to name")
    return [str(name) for name in own]
