"""The training loop: one state, one iteration, one jitted epoch. Nothing that influences training lives outside."""

import copy
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from awr_mjx.algorithm import reduce, replay
from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner, LearnerState
from awr_mjx.envs import tables
from awr_mjx.envs.advance import strong
from awr_mjx.envs.base import Env
from awr_mjx.envs.tables import Program
from awr_mjx.envs.vector import Outcome, VectorEnv, VectorState
from awr_mjx.train.engine import counters
from awr_mjx.train.engine.counters import Counter

AXIS = "env"  # of the mesh of devices, along which the environments and the ring are shared out
SAME: Any = PartitionSpec()  # every device has the same
# The environments are the first or the second axis.
FIRST: Any = PartitionSpec(AXIS)
SECOND: Any = PartitionSpec(None, AXIS)


@struct.dataclass
class Counts:
    """What a run has done so far, 64 bits each."""

    iterations: Counter
    env_steps: Counter
    gradient_steps: Counter
    episodes: Counter
    quarantined: Counter


@struct.dataclass
class TrainState:
    """Everything that training needs: a run that goes on from a saved one is the same run (on CPUs, bit for bit).

    Of one that learns from static data `ring` and `env` are None.
    """

    learner: LearnerState
    ring: replay.Ring
    env: VectorState
    key: jax.Array
    counts: Counts


# Which axis of a `TrainState`'s arrays is shared out over the devices.
LAYOUT: Any = TrainState(
    learner=SAME,
    ring=replay.Ring(rows=SECOND, head=SAME, filled=SAME),
    env=VectorState(**{name: SAME if name == "pool_head" else FIRST for name in VectorState.__annotations__}),
    key=SAME,
    counts=SAME,
)


PARTS = ("policy", "value", "normalizer")
LARGEST = 1e6  # parameter of a network; three layers of 256 such would still be finite


def sound_parts(learner: LearnerState) -> jax.Array:
    """bool [3]: whether each of `PARTS` is of use.

    Every number of it, and of the networks' optimisers, is finite, and no parameter is so large that its network's
    outputs are not.
    """
    parts = ((learner.policy, learner.policy_opt), (learner.value, learner.value_opt), learner.normalizer)
    finite = jnp.stack([jnp.isfinite(ravel_pytree(part)[0]).all() for part in parts])
    value = {name: layer for name, layer in learner.value.items() if name != "units"}  # these are as large as returns
    small = [(jnp.abs(ravel_pytree(net)[0]) <= LARGEST).all() for net in (learner.policy, value)]
    return finite & jnp.stack([*small, jnp.array(True)])


def placed(specs: Any, mesh: Mesh) -> Any:
    """The shardings over `mesh` that a tree of partition specs stands for."""
    return jax.tree.map(lambda spec: NamedSharding(mesh, spec), specs, is_leaf=lambda x: isinstance(x, PartitionSpec))


def described(state: TrainState, layout: Any, mesh: Mesh) -> TrainState:
    """The abstract `state` with where its arrays are to lie."""
    return jax.tree.map(  # the layout names whole branches of the state
        lambda place, branch: jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), branch),
        placed(layout, mesh),
        state,
    )


def share_out(
    function: Callable[..., Any],
    mesh: Mesh,
    inputs: tuple[Any, ...],
    outputs: Any,
    env: Any = None,
    alone: bool = False,
    **options: Any,
) -> Program:
    """Jits `function` to run on every device of `mesh` on its share of the environments, or of the trainings.

    `inputs` and `outputs` are partition specs (or trees of them); sums of `awr_mjx.algorithm.reduce` go over all
    devices, or each device sums `alone`. Each of them has the tables of the task `env` that `function` steps. `options`
    are those of `jax.jit`.
    """

    def one_device(*args: Any) -> Any:
        with reduce.over(None if alone else AXIS), tables.lent(env, args[-1]):
            return function(*args[:-1])

    inputs = (*inputs, SAME)
    mapped = jax.shard_map(one_device, mesh=mesh, in_specs=inputs, out_specs=outputs, check_vma=False)
    jitted = jax.jit(mapped, in_shardings=placed(inputs, mesh), out_shardings=placed(outputs, mesh), **options)
    return Program(jitted, jax.device_put(tables.of(env), NamedSharding(mesh, SAME)))


class Loop:
    """AWR on N = `num_envs` copies of a task: `init` makes a `TrainState`, `epoch` trains for some iterations.

    The first `devices` devices share environments, ring and minibatches evenly; networks are on each of them. The ring
    has `kept` rows beside those that are collected (`keeping`).
    """

    def __init__(
        self, env: Env, config: AwrConfig, num_envs: int, epoch_iterations: int = 1, devices: int = 1, kept: int = 0
    ) -> None:
        self.kept = kept
        self.layout = LAYOUT.replace(ring=LAYOUT.ring.replace(kept=kept))
        self.config, self.num_envs, self.epoch_iterations = config, num_envs, epoch_iterations
        self.mesh = Mesh(np.asarray(jax.devices()[:devices]), (AXIS,))
        self.env, self.held_out = env, None
        self.venv = VectorEnv(env, num_envs // devices, training=True)  # what one device steps
        self.learner = Learner(config, env.observation_size, env.action_size, env.discrete)
        self.steps_per_iteration = num_envs * config.rollout_steps
        self._init_program = self.share_out(self.first, (SAME,), self.layout)
        # The state is donated: the ring is updated where it lies and never exists twice.
        self.epoch = self.share_out(self.iterations, (self.layout,), (self.layout, SAME), donate_argnums=0)

    def share_out(self, function: Callable[..., Any], inputs: tuple[Any, ...], outputs: Any, **options: Any) -> Program:
        """`share_out` over this loop's devices."""
        return share_out(function, self.mesh, inputs, outputs, self.env, **options)

    def init(self, seed: int) -> TrainState:
        """A fresh state; everything in it follows from `seed` and the number of devices."""
        return self._init_program(jax.random.key(seed))

    def keeping(self, state: TrainState, rows: replay.Rows) -> TrainState:
        """The state with `rows` [K, N, ...] as those that its ring keeps; the given one is used up."""
        put = jax.jit(lambda old, new: jax.tree.map(lambda x, y: x.at[: self.kept].set(y), old, new), donate_argnums=0)
        rows = jax.device_put(rows, NamedSharding(self.mesh, SECOND))
        return state.replace(ring=state.ring.replace(rows=put(state.ring.rows, rows)))  # type: ignore[attr-defined]

    def template(self) -> TrainState:
        """The description of a state: shapes, types and where its arrays are to lie."""
        return described(jax.eval_shape(self._init_program, jax.random.key(0)), self.layout, self.mesh)

    def described(self, place: Sharding) -> TrainState:
        """The description of a state that lies in one `place`."""
        state = jax.eval_shape(self._init_program, jax.random.key(0))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), state)

    def with_numbers(self, numbers: dict[str, jax.Array]) -> "Loop":
        """This loop with other settings of the algorithm, by name, which may be traced, while a program is made."""
        other = copy.copy(self)
        other.config = copy.copy(self.config)
        vars(other.config).update(numbers)  # plain numbers are what its fields are declared with
        other.learner = Learner(other.config, self.env.observation_size, self.env.action_size, self.env.discrete)
        return other

    def held(self, state: TrainState) -> TrainState:
        """The description `state` of all that is kept on the devices, for the memory plan."""
        return state

    def compile(self) -> tuple[Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]], int]:
        """The program of an epoch, and the bytes that it works in on each device."""
        return self.epoch.compile(self.template())

    def first(self, key: jax.Array) -> TrainState:
        """A fresh state, or this device's share of it, to be jitted."""
        key, key_learner, key_env = jax.random.split(key, 3)
        learner = self.learner
        ring = replay.init(
            self.config.capacity,
            self.venv.num_envs,
            learner.observation_size,
            learner.action_size,
            learner.discrete,
            self.kept,
        )
        counts = Counts(*(counters.zero() for _ in Counts.__annotations__))
        env = self.venv.init(jax.random.fold_in(key_env, reduce.device()))
        return strong(TrainState(learner.init(key_learner), ring, env, key, counts))

    def iterations(self, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        """`epoch_iterations` iterations; metrics are arrays [epoch_iterations]. The given state is used up.

        `sound` [epoch_iterations, 3] says after each whether all of the learner's `PARTS` are finite.
        """

        def step(state: TrainState, _: None) -> tuple[TrainState, dict[str, jax.Array]]:
            state, metrics = self.iteration(state)
            return state, metrics | {"sound": sound_parts(state.learner)}

        return lax.scan(step, state, length=self.epoch_iterations)

    def iteration(self, state: TrainState) -> tuple[TrainState, dict[str, jax.Array]]:
        """One iteration of AWR: collect T steps of N environments, then regress value and policy on the ring."""
        key, key_here = jax.random.split(state.key)
        key_collect, key_pool, key_update = jax.random.split(jax.random.fold_in(key_here, reduce.device()), 3)
        env, rows, outcome = self.collect(state.learner, state.env, key_collect)
        env = self.venv.refresh(env, key_pool)
        learner = self.learner.observe(state.learner, rows)
        ring = replay.insert(state.ring, rows)
        learner, metrics = self.learner.update(learner, ring, env.env.obs, key_update)
        counts, seen = self._count(state.counts, rows, outcome)
        return TrainState(learner, ring, env, key, counts), metrics | seen

    def collect(
        self, learner: LearnerState, env: VectorState, key: jax.Array
    ) -> tuple[VectorState, replay.Rows, Outcome]:
        """Lets the policy act for T steps; gives the environments, their rows [T, N, ...] and outcomes [T, N]."""

        def act(env: VectorState, key: jax.Array) -> tuple[VectorState, tuple[replay.Rows, Outcome]]:
            key_action, key_env = jax.random.split(key)
            obs = env.env.obs
            action = self.learner.policy(learner.policy, learner.normalizer, obs).sample(key_action)
            env, outcome = self.venv.step(env, action, key_env)
            return env, (replay.Rows(obs, action, outcome.reward, outcome.terminated, outcome.valid), outcome)

        env, (rows, outcome) = lax.scan(act, env, jax.random.split(key, self.config.rollout_steps))
        return env, rows, outcome

    def _count(self, counts: Counts, rows: replay.Rows, outcome: Outcome) -> tuple[Counts, dict[str, Any]]:
        """Counters moved on by one iteration, and what its episodes were like."""

        def number(mask: jax.Array) -> jax.Array:
            return reduce.total(mask.astype(jnp.int32))

        gradient_steps = self.config.value_updates + self.config.policy_updates
        counts = Counts(
            iterations=counts.iterations.add(jnp.int32(1)),
            env_steps=counts.env_steps.add(jnp.int32(self.steps_per_iteration)),
            gradient_steps=counts.gradient_steps.add(jnp.int32(gradient_steps)),
            episodes=counts.episodes.add(number(outcome.finished)),
            quarantined=counts.quarantined.add(number(outcome.quarantined)),
        )
        seen = {
            "reward_per_step": reduce.mean(rows.reward, rows.valid),
            "terminated_share": reduce.mean(rows.terminated.astype(jnp.float32), rows.valid),
            "episodes_finished": number(outcome.finished),
            "episode_return": reduce.mean(outcome.episode_return, outcome.finished),
            "episode_steps": reduce.mean(outcome.episode_steps.astype(jnp.float32), outcome.finished),
            "quarantined": number(outcome.quarantined),
        }
        if outcome.terms:  # one sum over the devices for all of them
            names, sums = zip(*outcome.terms.items(), strict=True)
            total = reduce.across_devices(jnp.stack(sums).sum(axis=1))
            means = total[:, 0] / total[:, 1]  # NaN where a term was never finite: the log leaves it out
            seen |= {f"terms/{name}": means[i] for i, name in enumerate(names)}
        return counts, seen
