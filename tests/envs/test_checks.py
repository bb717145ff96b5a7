"""Tasks that do not keep the protocol are refused in one line that names the field and the number."""

import itertools
import math
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from awr_mjx.envs.base import BrokenTask, Env, State
from awr_mjx.envs.checks import check_task
from tests.tasks import ZERO, Broken, Chain, Walk


@pytest.mark.parametrize(
    "task", [Chain(), Chain(discrete=True), Walk(), Broken(resets=0.5)], ids=["chain", "discrete", "walk", "broken"]
)
def test_sound_tasks_pass(task: Env) -> None:
    assert isinstance(task, Env)
    check_task(task)


def test_what_there_is_to_log_may_be_of_many_kinds() -> None:
    """Numbers of Python's, of any type, and what is no number alone, which is not logged."""
    check_task(Told({"a": ZERO, "b": 1.0, "c": True, "d": jnp.int32(3), "e": jnp.zeros(2), "f": {"g": ZERO}}))


class Changed(Walk):
    """A walk whose states are changed: `reset` and `step` fields by name, or functions of the state that give them."""

    def __init__(self, reset: dict[str, Any] | None = None, step: dict[str, Any] | None = None, **values: Any) -> None:
        super().__init__()
        self._changes = reset or {}, step or {}
        for name, value in values.items():
            setattr(self, name, value)

    def reset(self, key: jax.Array) -> State:
        return self._changed(super().reset(key), self._changes[0])

    def step(self, state: State, action: jax.Array) -> State:
        plain = state.replace(data={"key": ZERO}, metrics={"distance": ZERO}, info={})  # type: ignore[attr-defined]
        stepped = super().step(plain, action).replace(data=state.data)  # type: ignore[attr-defined]
        return self._changed(stepped, self._changes[1])

    def _changed(self, state: State, changes: dict[str, Any]) -> State:
        return state.replace(**changes)  # type: ignore[attr-defined]


class Truth:
    """An exact physics that gives other observations."""

    def __init__(self, count: int, threads: int) -> None:
        self.at: Any = None

    def begin(self, state: State) -> None:
        self.at = state

    def step(self, state: State, action: jax.Array, which: np.ndarray) -> State:
        return self.at.replace(obs=self.at.obs[:, :2])


class Unbegun(Truth):
    """One that cannot begin, so that there is nothing to step."""

    def begin(self, state: State) -> None:
        self.at.append(state)


class Raises(Walk):
    def step(self, state: State, action: jax.Array) -> State:
        raise KeyError("friction\nand more")


class NoState(Walk):
    def reset(self, key: jax.Array) -> Any:
        return jnp.zeros(3), {}


@struct.dataclass
class Labelled:
    x: jax.Array
    label: str = struct.field(pytree_node=False, default="start")


class Told(Walk):
    """A walk with more to log: what `found` is or, if it is a function, gives for the next state."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self._found = found

    def terms(self, state: State, action: jax.Array, after: State) -> Any:
        return self._found(after) if callable(self._found) else self._found


class GivenUp(Walk):
    """A walk whose `given_up` gives `found`."""

    def __init__(self, found: Any) -> None:
        super().__init__()
        self._found = found

    def given_up(self, state: State) -> Any:
        return self._found


class Hosted(Walk):
    """A walk that is simulated on the host by something that cannot step several, or cannot `reset` any."""

    def __init__(self, where: str = "step") -> None:
        super().__init__()
        self._where = where

    def _called(self, obs: jax.Array, **how: Any) -> jax.Array:
        def gone(_: Any) -> Any:
            raise ValueError("the simulator is gone")

        called: jax.Array = jax.pure_callback(gone, jax.ShapeDtypeStruct(obs.shape, obs.dtype), obs, **how)
        return called

    def reset(self, key: jax.Array) -> State:
        state = super().reset(key)
        obs = self._called(state.obs, vmap_method="expand_dims") if self._where == "reset" else state.obs
        return state.replace(obs=obs)  # type: ignore[attr-defined]

    def step(self, state: State, action: jax.Array) -> State:
        stepped = super().step(state, action)
        obs = self._called(stepped.obs) if self._where == "step" else stepped.obs
        return stepped.replace(obs=obs)  # type: ignore[attr-defined]


class Settled(Walk):
    """A walk whose tables cannot be set."""

    @property
    def tables(self) -> jax.Array:
        return jnp.zeros(3)


class Unset(Walk):
    """A walk whose time limit cannot be told."""

    @property
    def episode_length(self) -> int:
        raise RuntimeError("not\nconfigured")

    @episode_length.setter
    def episode_length(self, value: int) -> None:
        pass


def unreadable(name: str) -> Env:
    """A walk of which one member raises where it is read."""

    def raises(_: Walk) -> None:
        raise RuntimeError("not configured")

    task: Env = type("Unreadable", (Walk,), {name: property(raises)})()
    return task


COUNT = itertools.count()
X = {"x": ZERO}
WHOLE = "an int from 1 to 2,147,483,647"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (Raises(), r"step raises KeyError: .*\(.*test_checks.py:\d+\)"),
        (NoState(), "reset gives a tuple without obs, reward, done, metrics, not a State"),
        (Changed(observation_size=4), r"reset gives obs float32\[3\], not float32\[4\]"),
        (Changed({"obs": {"a": ZERO}}), r"reset gives obs as a dict, not float32\[3\]"),
        (Changed({"reward": jnp.zeros(1)}), r"reset gives reward float32\[1\], not float32\[\]"),
        (Changed({"metrics": {"near": ZERO}}), r".*other fields.*: state.metrics\['near'\] is there after reset only"),
        (Changed({"metrics": None}), "metrics is a NoneType, not a dict of numbers by name"),
        (Changed({"metrics": [ZERO]}), "metrics is a list, not a dict"),
        (Changed({"metrics": {"a": None}}), r"metrics\['a'\] is a NoneType, not a number"),
        (Changed({"metrics": {"a": jax.random.key(0)}}), r"metrics\['a'\] is key<fry>\[\], not a number"),
        (Changed({"metrics": {3: ZERO}}), "metrics has the key 3, not a name"),
        (Told([ZERO]), "terms is a list, not a dict"),
        (Told({"a": ZERO, 3: ZERO}), "terms has the key 3, not a name"),
        (Told({"a": None}), r"terms\['a'\] is a NoneType, not a number"),
        (Told({"a": "far"}), r"terms\['a'\] is a str, not a number"),
        (Told(lambda after: after.nope), r"terms raises AttributeError: .*nope.* \(.*test_checks.py:\d+\)"),
        (Told(lambda _: {f"t{next(COUNT)}": ZERO}), "terms gives other names when it is called again: t0, t1"),
        (GivenUp(ZERO), r"given_up gives float32\[\], not bool\[\]"),
        (GivenUp(jnp.zeros(2, bool)), r"given_up gives bool\[2\], not bool\[\]"),
        (GivenUp(None), r"given_up gives None, not bool\[\]"),
        (Hosted(), r"step raises NotImplementedError: .*vmap"),
        (Hosted("reset"), r"reset raises .*the simulator is gone"),
        (Unset(), r"episode_length raises RuntimeError: not configured \(.*test_checks.py:\d+\)"),
        (Changed({}, {"done": jnp.bool_(1)}), r"state.done is float32\[\] after reset, bool\[\] after step"),
        (Changed({"info": {"name": "hill"}}), r"state.info\['name'\] is the str 'hill' after reset, no array"),
        (Changed({}, {"info": {"name": object}}), r"state.info\['name'\] is the type .* after step, no array"),
        (Changed({"data": (ZERO,)}, {"data": [ZERO]}), r"state.data is a tuple after reset, a list after step"),
        (
            Changed({"data": Labelled(ZERO)}, {"data": Labelled(ZERO, "moved")}),
            r"state.data.label is 'start' after reset, 'moved' after step, and no array",
        ),
        (Changed({"data": ZERO}, {"data": X}), "state.data is an array after reset, a dict after step"),
        (Changed(episode_length=float("inf")), f"episode_length is inf, not {WHOLE}"),
        (Changed(episode_length=None), f"episode_length is None, not {WHOLE}"),
        (Changed(episode_length=0), f"episode_length is 0, not {WHOLE}"),
        (Changed(episode_length=2**31), f"episode_length is 2147483648, not {WHOLE}"),
        (Changed(episode_length=100.0), f"episode_length is 100.0, not {WHOLE}"),
        (Changed(observation_size=np.int64(3)), r"observation_size is 3 \(a numpy int64\), not an int"),
        (Changed(action_size=jnp.int32(1)), r"action_size is 1 \(a jaxlib ArrayImpl\), not an int"),
        (Changed(action_size=0), "action_size is 0, not an int"),
        (Changed(action_size=(3, 4), discrete=True), r"action_size is \(3, 4\), not .* number the combinations"),
        (Changed(discrete=(True, False)), r"discrete is \(True, False\), not True or False"),
        (Changed(dt=0.0), "dt is 0.0, not a float above 0"),
        (Changed(dt=np.float32(0.1)), r"dt is 0.1\d* \(a numpy float32\), not a float"),
        (Changed(dt=float("nan")), "dt is nan, not a float above 0"),
        (Changed(max_envs="many"), "max_envs is 'many', not an int above 0"),
        (Changed(max_envs=0), "max_envs is 0, not an int above 0"),
        (Changed(gymnasium="Hopper-v5"), "gymnasium is 'Hopper-v5', not an awr_mjx.envs.base.Twin"),
        (Changed(tables={"poses": "walk.npz"}), r"tables\['poses'\] is 'walk.npz', not an array: use another name"),
        (Settled(), r"setting tables raises AttributeError: .*tables.*\(.*tables.py:\d+\)"),
        (Changed(observation_names=["x"]), "observation_names has 1 names, and there are 3 to name"),
        (Changed(action_names=[1]), r"action_names is \[1\], not a list of 1 names"),
        (Changed(action_names="a"), "action_names is 'a', not a list of 1 names"),
        (Changed(action_names=3), r"action_names raises TypeError: .*not iterable \(.*base.py:\d+\)"),
        (unreadable("max_envs"), r"max_envs raises RuntimeError: not configured \(.*test_checks.py:\d+\)"),
        (
            Changed(deployment=lambda: {"gains": ZERO}),
            "deployment gives what is no plain JSON: .*not JSON serializable",
        ),
        (Changed(deployment=lambda: {"limit": math.inf}), "deployment gives what is no plain JSON: "),
        (Changed(deployment=lambda: X["gains"]), r"deployment raises KeyError: .* \(.*test_checks.py:\d+\)"),
        (Changed(exact=True), r"exact\(1, 1\) raises TypeError: 'bool' object is not callable"),
        (Changed(exact=lambda count, threads: {}), r"exact\(1, 1\) gives {}.*, which has no begin and step"),
        (Changed(exact=Truth), r"in its exact physics state.obs is float32\[1, 3\] after reset, float32\[1, 2\] after"),
        (Changed(exact=Unbegun), r"its exact physics raises AttributeError: .*'append' \(.*test_checks.py:\d+\)"),
        (unreadable("terms"), "terms raises RuntimeError: not configured"),
        (unreadable("action_names"), r"action_names raises RuntimeError: not configured"),
        (Broken(resets=1.0), r"every reset of 64 .* not finite or beyond 1e\+06: state.obs\[1\] is nan"),
        (Changed({"reward": jnp.float32(-3e7)}), r"every reset of 64 .*: state.reward is -3e\+07"),
        (Changed({"info": {"a": jnp.array([0, jnp.nan])}}, {"info": {"a": jnp.zeros(2)}}), r".*\['a'\]\[1\] is nan"),
    ],
)
def test_a_broken_task_is_refused_in_one_line(task: Env, message: str) -> None:
    with pytest.raises(BrokenTask, match="^broken task: " + message) as caught:
        check_task(task)
    assert "\n" not in str(caught.value)


def test_the_place_is_the_authors_also_in_a_folder_called_jax(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "jax" / "mine.py"
    file.parent.mkdir()
    file.write_text("def reset(self, key):\n    raise ValueError('no')\n")
    names: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    with pytest.raises(BrokenTask, match=rf"reset raises ValueError: no \({file}:2\)"):
        check_task(type("Mine", (Walk,), {"reset": names["reset"]})())
