"""K trainings of one task in one program, side by side: they differ in seeds and numbers; none notices the others."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding

from awr_mjx.algorithm import replay
from awr_mjx.envs.base import BrokenTask
from awr_mjx.envs.tables import Program
from awr_mjx.train.engine.loop import AXIS, FIRST, SAME, Loop, TrainState, described, placed, share_out

# Settings of the algorithm that trainings may differ in: those that are only computed with, and change no program.
NUMBERS = ("beta", "weight_max", "lam", "policy_lr", "value_lr", "momentum", "bound_coef", "logit_coef")


class Many:
    """K = `trainings` of a `loop` that runs on one device, shared out evenly over the first `devices`.

    A state is a `TrainState` whose arrays have a first axis [K], and so have metrics. The ring's `head` and `filled`
    have not: trainings in step have the same, and rows can be written where they lie. The devices exchange nothing.

    Some `NUMBERS` may be given for each training, [K] by name; the rest are those of the `loop`.
    """

    def __init__(
        self, loop: Loop, trainings: int, devices: int = 1, numbers: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        self.one, self.trainings = loop, trainings
        self.env, self.learner, self.held_out = loop.env, loop.learner, None
        self.mesh = Mesh(np.asarray(jax.devices()[:devices]), (AXIS,))
        self._share = trainings // devices  # of each device
        self._refuse_overflow()
        self.layout: Any = _layout(FIRST, SAME, loop.kept)
        self._axes: Any = _layout(0, None, loop.kept)
        place = NamedSharding(self.mesh, FIRST)
        self._numbers = {
            name: jax.device_put(np.asarray(values, np.float32), place) for name, values in (numbers or {}).items()
        }
        first = jax.vmap(loop.first, out_axes=self._axes)
        iterations = jax.vmap(self._iterations, in_axes=(self._axes, 0), out_axes=(self._axes, 0))
        self._init_program = self._shared_out(first, (FIRST,), self.layout)
        self._epoch = self._shared_out(iterations, (self.layout, FIRST), (self.layout, FIRST), donate_argnums=0)
        self._pick = jax.jit(self._picked)  # one program: an operation for each array would take longer than a save

    def _refuse_overflow(self) -> None:
        """Raises BrokenTask if the task cannot step that many environments at once."""
        most, there = getattr(self.env, "max_envs", None), self._share * self.one.num_envs
        if most is not None and there > most:
            raise BrokenTask(f"this task steps at most {most} environments at once, not {there}: train fewer at once")

    def _shared_out(self, function: Any, inputs: tuple[Any, ...], outputs: Any, **options: Any) -> Program:
        return share_out(function, self.mesh, inputs, outputs, self.env, alone=True, **options)

    def _iterations(self, state: TrainState, numbers: dict[str, jax.Array]) -> tuple[TrainState, dict[str, jax.Array]]:
        """An epoch of one training with its own `numbers`."""
        return self.one.with_numbers(numbers).iterations(state)

    def init(self, seeds: Sequence[int]) -> TrainState:
        """A fresh state; each training's follows from its own seed."""
        keys = jnp.stack([jax.random.key(seed) for seed in seeds])
        return self._init_program(jax.device_put(keys, NamedSharding(self.mesh, FIRST)))

    def template(self) -> TrainState:
        """The description of a state: shapes, types and where its arrays are to lie."""
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), self.trainings))
        return described(jax.eval_shape(self._init_program, keys), self.layout, self.mesh)

    def held(self, state: TrainState) -> TrainState:
        """The description `state` of all that is kept on the devices, for the memory plan."""
        return state

    def compile(self) -> tuple[Callable[[TrainState], tuple[TrainState, dict[str, jax.Array]]], int]:
        """The program of an epoch, and the bytes that it works in on each device."""
        epoch, workspace = self._epoch.compile(self.template(), self._numbers)
        return lambda state: epoch(state, self._numbers), workspace

    def training(self, state: TrainState, number: int, whole: bool = True) -> TrainState:
        """The state of one training, on the device that has it; if not `whole`, without its ring and environments."""
        device, place = self.mesh.devices.flat[number // self._share], number % self._share
        state = state if whole else state.replace(ring=None, env=None)  # type: ignore[attr-defined]
        return self._pick(jax.tree.map(lambda x: _lies_on(device, x), state), np.int32(place))

    def _picked(self, state: TrainState, place: jax.Array) -> TrainState:
        """One of the trainings that lie on one device, to be jitted."""
        axes = self._axes if state.ring is not None else self._axes.replace(ring=None, env=None)

        def pick(axis: int | None, branch: Any) -> Any:
            return jax.tree.map(lambda x: x if axis is None else x[place], branch)

        return jax.tree.map(pick, axes, state, is_leaf=lambda x: x is None)

    def place_of(self, number: int) -> jax.sharding.Sharding:
        """Where the arrays of one training lie."""
        return jax.sharding.SingleDeviceSharding(self.mesh.devices.flat[number // self._share])

    def together(self, states: Sequence[TrainState]) -> TrainState:
        """The state of which `training` gives the `states`, each of which lies where it is to be (`place_of`)."""

        def stack(axis: int | None, place: NamedSharding, *branches: Any) -> Any:
            if axis is None:
                return jax.device_put(branches[0], place)
            return jax.tree.map(lambda *leaves: self._joined(leaves, place), *branches)

        places = placed(self.layout, self.mesh)
        return jax.tree.map(stack, self._axes, places, *states, is_leaf=lambda x: x is None)

    def _joined(self, leaves: Sequence[jax.Array], place: NamedSharding) -> jax.Array:
        """One array [K, ...] of those of all trainings, of which none leaves its device."""
        if jnp.issubdtype(leaves[0].dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(self._joined([jax.random.key_data(x) for x in leaves], place))
        parts = [jnp.stack(leaves[i : i + self._share]) for i in range(0, self.trainings, self._share)]
        return jax.make_array_from_single_device_arrays((self.trainings, *leaves[0].shape), place, parts)


def _lies_on(device: jax.Device, x: jax.Array) -> jax.Array:
    """What a device has of `x`; `addressable_data` gives the first device's copy of what all have."""
    return next(shard.data for shard in x.addressable_shards if shard.device == device)


def _layout(each: Any, all_: Any, kept: int) -> Any:
    """`each` for what every training has, `all_` for what is one for all."""
    ring = replay.Ring(rows=each, head=all_, filled=all_, kept=kept)
    return TrainState(learner=each, ring=ring, env=each, key=each, counts=each)
