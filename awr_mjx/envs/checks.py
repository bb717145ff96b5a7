"""Does a task keep the protocol of `awr_mjx.envs.base`? Found out before anything long starts, and said in one line."""

import dataclasses
import json
import math
import os
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.envs import tables
from awr_mjx.envs.advance import LIMIT, infinities, sound, strong
from awr_mjx.envs.base import BrokenTask, Env, Twin, action_names, exact, observation_names

LONGEST = 2**31 - 1  # control steps of an episode are counted in 32 bits
RESETS = 64  # that are drawn
JAX = os.path.dirname(jax.__file__) + os.sep
OPTIONAL = (
    "max_envs",
    "gymnasium",
    "terms",
    "mj_model",
    "positions",
    "picture",
    "pushed",
    "tables",
    "deployment",
    "given_up",
    "exact",
)


def check_task(env: Env) -> None:
    """Finds out, before anything long starts, whether `env` keeps the protocol of `awr_mjx.envs.base`.

    Raises:
      BrokenTask: for values that are not what they should be, exceptions, wrong shapes or types, a step whose state is
        built differently from a reset's, what is to be logged and is no number, or resets that are all broken.
    """
    missing = [name for name in (*Env.__annotations__, "reset", "step") if not _has(env, name)]
    if missing:
        raise BrokenTask(f"broken task: {type(env).__name__} has no {', '.join(sorted(missing))}")
    _check_values(env)
    _check_optional(env)
    reset = shapes("reset", env.reset, jax.random.key(0))
    lacking = [name for name in ("obs", "reward", "done", "metrics") if not hasattr(reset, name)]
    if lacking:
        raise BrokenTask(f"broken task: reset gives a {type(reset).__name__} without {', '.join(lacking)}, not a State")
    for name, want in (("obs", (env.observation_size,)), ("reward", ()), ("done", ())):
        got = getattr(reset, name)
        if not hasattr(got, "shape"):
            raise BrokenTask(f"broken task: reset gives {name} as a {type(got).__name__}, not float32{list(want)}")
        if got.shape != want or got.dtype != jnp.float32:
            raise BrokenTask(f"broken task: reset gives {name} {got.dtype}{list(got.shape)}, not float32{list(want)}")
    _check_named("metrics", reset.metrics)
    shape = () if env.discrete else (env.action_size,)
    action = jax.ShapeDtypeStruct(shape, jnp.int32 if env.discrete else jnp.float32)
    stepped = shapes("step", env.step, reset, action)
    _check_same(reset, stepped)
    if hasattr(env, "given_up"):
        found = shapes("given_up", env.given_up, stepped)
        if getattr(found, "shape", None) != () or found.dtype != jnp.bool_:
            got = f"{found.dtype}{list(found.shape)}" if hasattr(found, "shape") else f"{found}"
            raise BrokenTask(f"broken task: given_up gives {got}, not bool[]")
    if hasattr(env, "terms"):
        _check_terms(env, reset, action, stepped)
    _check_exact(env, jax.tree.map(lambda x: x[:1], _drawn(env)))


def shapes(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Returns the shapes and types that a task's function gives, without running it.

    Raises:
      BrokenTask: for whatever it raises, with the place, and for a leaf that is no array.
    """

    def traced(*one: Any) -> Any:
        found = function(*one)
        for path, leaf in jax.tree_util.tree_leaves_with_path(found):
            if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float):
                where = f"state{jax.tree_util.keystr(path)}"
                raise BrokenTask(f"broken task: {where} is the {type(leaf).__name__} {leaf!r} after {name}, no array")
        return strong(found)

    try:
        several = jax.tree.map(lambda x: jax.ShapeDtypeStruct((1, *x.shape), x.dtype), args)
        found = jax.eval_shape(jax.vmap(traced), *several)  # as it will be called: not everything can be
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), found)
    except BrokenTask:
        raise
    except (Exception, SystemExit) as error:  # of whatever kind somebody else's code raises
        raise raised(name, error) from error


def raised(what: str, error: BaseException) -> BrokenTask:
    """What to raise where `what` of a task raises `error`: one line with its kind, its message and its place."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(JAX) and frame.filename != __file__] or frames
    where = f"{theirs[-1].filename}:{theirs[-1].lineno}"
    message = " ".join(str(error).split())
    return BrokenTask(f"broken task: {what} raises {type(error).__name__}: {message} ({where})")


def _has(env: Env, name: str) -> bool:
    try:
        return hasattr(env, name)
    except (Exception, SystemExit) as error:  # a property that raises
        raise raised(name, error) from error


def _check_named(what: str, found: Any) -> None:
    """What a task has to log must be numbers by name; arrays and dicts of them may be there, but are not logged."""
    if not isinstance(found, Mapping):
        raise BrokenTask(f"broken task: {what} is a {type(found).__name__}, not a dict of numbers by name")
    for name, value in found.items():
        if not isinstance(name, str):
            raise BrokenTask(f"broken task: {what} has the key {name!r}, not a name")
        kind = getattr(value, "dtype", None)
        number = kind is not None and any(jnp.issubdtype(kind, one) for one in (jnp.floating, jnp.integer, jnp.bool_))
        if not number and not isinstance(value, bool | int | float | dict):
            got = f"a {type(value).__name__}" if kind is None else f"{kind}{list(value.shape)}"
            raise BrokenTask(f"broken task: {what}[{name!r}] is {got}, not a number")


def _check_terms(env: Any, *args: Any) -> None:
    """`env.terms(*args)` gives numbers by name, and the same names whenever it is called."""
    given: list[set[str]] = []

    def named(*args: Any) -> None:
        found = env.terms(*args)
        _check_named("terms", found)
        given.append(set(found))

    for _ in range(2):
        shapes("terms", named, *args)
    if given[0] != given[1]:
        names = ", ".join(sorted(given[0] ^ given[1]))
        raise BrokenTask(f"broken task: terms gives other names when it is called again: {names}")


def _check_values(env: Env) -> None:
    """Sizes, time limit and dt: Python's own numbers, in their ranges."""
    if type(env.discrete) is not bool:
        raise BrokenTask(f"broken task: discrete is {env.discrete!r}, not True or False")
    what = "the number of choices; number the combinations of several" if env.discrete else "the length of an action"
    wanted = {
        "observation_size": "the length of an observation",
        "action_size": what,
        "episode_length": "a time limit in control steps",
    }
    for name, meaning in wanted.items():
        value = getattr(env, name)
        if type(value) is not int or not 0 < value <= LONGEST:
            needed = f"an int from 1 to {LONGEST:,} ({meaning})"
            raise BrokenTask(f"broken task: {name} is {_described(value)}, not {needed}")
    if type(env.dt) not in (int, float) or not 0 < env.dt < math.inf:
        needed = "a float above 0 (seconds per control step)"
        raise BrokenTask(f"broken task: dt is {_described(env.dt)}, not {needed}")


def _check_optional(env: Env) -> None:
    """What a task may have besides, read here so that none of it raises, or does not fit, after a training."""
    there = {name: getattr(env, name) for name in OPTIONAL if _has(env, name)}
    most, twin = there.get("max_envs"), there.get("gymnasium")
    if most is not None and (type(most) is not int or most <= 0):
        raise BrokenTask(f"broken task: max_envs is {_described(most)}, not an int above 0")
    if not isinstance(twin, Twin | None):
        raise BrokenTask(f"broken task: gymnasium is {_described(twin)}, not an awr_mjx.envs.base.Twin")
    for what, named in (("observation_names", observation_names), ("action_names", action_names)):
        try:
            named(env)
        except BrokenTask:
            raise
        except (Exception, SystemExit) as error:
            raise raised(what, error) from error
    if "tables" in there:
        _check_tables(env, there["tables"])
    if "deployment" in there:
        _check_deployment(there["deployment"])


def _check_tables(env: Env, found: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        if not isinstance(leaf, jax.Array | np.ndarray):
            where = f"tables{jax.tree_util.keystr(path)}"
            raise BrokenTask(f"broken task: {where} is {_described(leaf)}, not an array: use another name for it")
    try:
        with tables.lent(env, found):
            pass
    except (Exception, SystemExit) as error:
        raise raised("setting tables", error) from error


def _check_exact(env: Env, reset: Any) -> None:
    """The exact physics, if there is one, steps an episode whose state is `reset`, leaves [1, ...]."""
    try:
        found = exact(env, 1, 1)
    except (Exception, SystemExit) as error:
        raise raised("exact(1, 1)", error) from error
    if found is not None and not all(callable(getattr(found, name, None)) for name in ("begin", "step")):
        raise BrokenTask(f"broken task: exact(1, 1) gives {_described(found)}, which has no begin and step")
    if found is None or type(env).__module__.startswith("awr_mjx."):  # tested elsewhere, and seconds of compiling
        return
    action = jnp.zeros(1, jnp.int32) if env.discrete else jnp.zeros((1, env.action_size))
    try:
        found.begin(reset)
        stepped = jax.tree.map(jnp.asarray, found.step(reset, action, np.zeros(1, bool)))
    except (Exception, SystemExit) as error:
        raise raised("its exact physics", error) from error
    if difference := _difference(reset, stepped, "state"):
        raise BrokenTask(f"broken task: in its exact physics {difference}")


def _check_deployment(deployment: Callable[[], Any]) -> None:
    try:
        found = deployment()
    except (Exception, SystemExit) as error:
        raise raised("deployment", error) from error
    try:
        json.dumps(found, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BrokenTask(f"broken task: deployment gives what is no plain JSON: {error}") from error


def _described(value: Any) -> str:
    known = isinstance(value, int | float | str | tuple | list | dict | None) and not isinstance(value, np.generic)
    return repr(value) if known else f"{value} (a {type(value).__module__.partition('.')[0]} {type(value).__name__})"


def _check_same(reset: Any, stepped: Any) -> None:
    """A step's state must have the tree, shapes and types of a reset's."""
    difference = _difference(reset, stepped, "state")
    if difference:
        raise BrokenTask(f"broken task: {difference}")
    before, after = (str(jax.tree.structure(tree)) for tree in (reset, stepped))
    if before != after:
        raise BrokenTask("broken task: the state that step gives is built differently from the one that reset gives")


def _difference(a: Any, b: Any, where: str) -> str | None:
    """Where and how a reset's state `a` and a step's `b` differ first; None if nowhere."""
    if hasattr(a, "shape") and hasattr(b, "shape"):
        if (a.shape, a.dtype) == (b.shape, b.dtype):
            return None
        before, after = (f"{x.dtype}{list(x.shape)}" for x in (a, b))
        return f"{where} is {before} after reset, {after} after step"
    if type(a) is not type(b):
        before, after = ("an array" if hasattr(x, "shape") else f"a {type(x).__name__}" for x in (a, b))
        return f"{where} is {before} after reset, {after} after step"
    parts, static = _parts(a), _parts(b)
    if parts.keys() != static.keys():
        only = [f"{where}{name} is there after reset only" for name in parts if name not in static]
        only += [f"{where}{name} is there after step only" for name in static if name not in parts]
        return "the state that step gives has other fields than the one that reset gives: " + ", ".join(only[:3])
    if not parts and isinstance(a, str | int | float | bool) and a != b:
        return f"{where} is {a!r} after reset, {b!r} after step, and no array"
    return next((found for name in parts if (found := _difference(parts[name], static[name], where + name))), None)


def _parts(tree: Any) -> dict[str, Any]:
    """The parts of one node of a tree by what is written behind it to get them."""
    if isinstance(tree, Mapping):
        return {f"[{key!r}]": value for key, value in tree.items()}
    if isinstance(tree, tuple | list):
        return {f"[{i}]": value for i, value in enumerate(tree)}
    if dataclasses.is_dataclass(tree):
        return {f".{field.name}": getattr(tree, field.name) for field in dataclasses.fields(tree)}
    return {}


def _drawn(env: Env) -> Any:
    """Some resets, leaves [P, ...], of which at least one must be sound; says what is wrong with the first."""
    try:
        drawn = strong(jax.jit(jax.vmap(env.reset))(jax.random.split(jax.random.key(0), RESETS)))
        jax.block_until_ready(drawn)
    except Exception as error:  # of a callback on the host
        raise raised("reset", error) from error
    if bool(sound(drawn, infinities(drawn)).any()):
        return drawn
    raise BrokenTask(
        f"broken task: every reset of {RESETS} gives a number that is not finite or beyond {LIMIT:g}: {_bad(drawn)}"
    )


def _bad(drawn: Any) -> str:
    """The first number of states just reset, leaves [P, ...], that breaks the first of them."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(drawn):
        name = jax.tree_util.keystr(path)
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            numbers = np.asarray(leaf[0]).reshape(-1)
            limited = name in (".obs", ".reward")
            wrong = ~(np.abs(numbers) <= LIMIT) if limited else np.isnan(numbers)
            if wrong.any():
                place = f"[{int(np.argmax(wrong))}]" if leaf.ndim > 1 else ""
                return f"state{name}{place} is {numbers[np.argmax(wrong)]:g}"
    return "reward or obs"
