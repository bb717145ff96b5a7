"""Tasks by name. A factory imports what its task needs when it is called, so the rest of the package stays light."""

import dataclasses
import difflib
import functools
import importlib
import inspect
import os
from collections.abc import Callable
from typing import Any, Literal

from awr_mjx.envs import graphics, own_tasks
from awr_mjx.envs.base import BrokenTask, Env, UnknownTask
from awr_mjx.envs.checks import raised


@dataclasses.dataclass(frozen=True)
class TaskOptions:
    """Options of a task. Each task takes those that mean something to it."""

    physics: Literal["fast", "exact"] = "fast"
    """How Gymnasium's MuJoCo tasks are simulated: tuned for large batches, or as Gymnasium does (much slower)."""
    full_obs: bool = False
    """Add Gymnasium's bulky observations: contact forces; for humanoid also body inertias, velocities and torques."""
    randomize: bool = False
    """Draw masses, friction, motor gains and pushes anew for every episode."""
    impl: Literal["jax", "warp"] = "jax"
    """MJX's backend; warp needs the package warp-lang and is made for NVIDIA GPUs."""
    backend: Literal["mjx", "generalized", "positional", "spring"] = "mjx"
    """Brax's physics, for brax/ tasks."""
    wind: bool = False
    """Wind and turbulence, for lunar_lander; Gymnasium's enable_wind."""
    robot: str = ""
    """The robot of imitate/ tasks: an MJCF file, one of DeepMimic's character files, or humanoid, the project's own."""
    clip: tuple[str, ...] = ()
    """Motion clips for it to imitate."""
    touch: tuple[str, ...] = ()
    """Names of its bodies that may touch the floor, besides those that do so in the clips."""
    actions: Literal["residual", "absolute"] = "residual"
    """What moves its servos: what is added to the clip 0.1 s ahead, or poses about the middle of the joints (paper)."""
    fps: float = 0.0
    """Frames per second of clips whose files do not say."""
    give_up: float = 0.85
    """Training fails an episode whose bodies are this far off in the mean, in heights of the clips' root; 0: never."""

    def placed(self) -> "TaskOptions":
        """The options with whole paths, which mean the same files from another working directory.

        What has no ending is the name of something that the project brings itself, even where a folder is called so.
        """
        whole = [_whole(path) if os.path.splitext(path)[1] else path for path in (self.robot, *self.clip)]
        return dataclasses.replace(self, robot=whole[0], clip=tuple(whole[1:]))


def _whole(path: str) -> str:
    found = os.path.abspath(os.path.expanduser(path))
    return found if os.path.exists(found) else path


_FACTORIES: dict[str, tuple[Callable[..., Env], str]] = {}
_OURS: set[str] = set()  # those of them that come with this project
# With fast physics on jax.
_WITHOUT_LAPACK = {"cartpole", "lunar_lander", "ant", "halfcheetah", "hopper", "walker2d", "humanoid"}
_IMITATE = "imitate/"
# Which need a robot and a clip to be made.
WITH_FILES = {f"{before}{name}" for before in (_IMITATE, f"paper/{_IMITATE}") for name in ("humanoid", "dog", "robot")}
# Families of tasks that other packages bring: prefix -> (module with `names()` and `make(name, **options)`).
FAMILIES = {"brax": "awr_mjx.envs.adapters.brax_tasks", "playground": "awr_mjx.envs.adapters.playground_tasks"}
_WORDS = ("", "list", "all", "none")  # what `--env` takes for something else than a name


def register(name: str, factory: Callable[..., Env], source: str = "registered") -> None:
    """Makes `make(name)` return `factory()`; a later registration of the same name replaces the earlier one.

    The factory's parameters are the options of `TaskOptions` that the task takes; `source` says where it is from.

    Raises:
      BrokenTask: if `factory` cannot be called, or `name` is that of a task of this project or could not be asked for.
    """
    if name in _OURS:  # a run of the one would go on, or be played, as one of the other, wherever the file is not given
        raise BrokenTask(f"{name!r} is a task of this project: register yours under another name")
    reached = isinstance(name, str) and name not in _WORDS and "," not in name and name == name.strip()
    if not reached or name.partition("/")[0] in FAMILIES:
        prefixes = " or ".join(f"{family}/" for family in FAMILIES)
        raise BrokenTask(
            f"a task called {name!r} could never be asked for: choose a name that is not 'list', 'all' or 'none', has "
            f"no comma and no space at its ends, and does not begin with {prefixes}"
        )
    if not callable(factory):
        kind = type(factory).__name__
        raise BrokenTask(
            f"{name!r} must be registered with a function or class that builds the task, not with a {kind}"
        )
    _FACTORIES[name] = factory, source


def ours(name: str) -> str:
    """Returns the name here of a task that is called as in Gymnasium: Ant-v5 is ant, Ant-v2 paper/ant.

    Any other name is returned as it is.
    """
    return name if name in _FACTORIES else _GYMNASIUM.get(name, name)


def find(name: str) -> None:
    """Looks task `name` up without building it.

    Raises:
      UnknownTask: if there is none, or a package that it needs is missing.
    """
    _factory(name)


def names() -> list[str]:
    """Returns the names of all registered tasks in alphabetical order; those of other packages are in `FAMILIES`."""
    own_tasks.read()
    own_tasks.read_packages()
    return sorted(_FACTORIES)


def source(name: str) -> str:
    """Returns in a few words where the rules of registered task `name` are from."""
    return _FACTORIES[name][1]


def calls_lapack(name: str, options: TaskOptions) -> bool:
    """Returns whether task `name` may factorise matrices in LAPACK, as MJX's solver and other packages' tasks do."""
    if name.removeprefix("paper/").startswith(_IMITATE):
        return False
    return name not in _WITHOUT_LAPACK or options.physics != "fast" or options.impl != "jax"


def make(name: str, options: TaskOptions | None = None) -> Env:
    """Returns a new task called `name`.

    Raises:
      UnknownTask: if there is none, it has no such option, or a package that it needs is missing.
      BrokenTask: if it cannot be built, with the exception and its place.
    """
    graphics.do_without()
    factory = _factory(name)
    changed = _changed(options or TaskOptions())
    taken = inspect.signature(factory).parameters
    for option in changed:
        if option not in taken:
            there = ", ".join(f"--env.{known}" for known in taken) or "none"
            raise UnknownTask(f"task {name!r} has no option --env.{option} (it has: {there})")
    empty = inspect.Parameter.empty
    must = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [key for key, one in taken.items() if one.kind in must and one.default is empty and key not in changed]
    if needed:
        raise BrokenTask(
            f"broken task: what {name!r} was registered with needs arguments: {', '.join(needed)}; "
            "register a function that needs none, such as lambda: MyTask(1.0)"
        )
    try:
        return factory(**changed)
    except (UnknownTask, BrokenTask):
        raise
    except (Exception, SystemExit) as error:  # of whatever kind somebody else's code raises
        raise raised(f"building {name!r}", error) from error


def _factory(name: str) -> Callable[..., Env]:
    own_tasks.read()
    name = ours(name)
    family, slash, rest = name.partition("/")
    if slash and family in FAMILIES:
        module = importlib.import_module(FAMILIES[family])
        known = [f"{family}/{task}" for task in module.names()]
        if name in known:
            return functools.partial(module.make, rest)
    elif name in _FACTORIES:
        return _FACTORIES[name][0]
    else:
        known = names()  # which knows those of packages too
        if name in _FACTORIES:
            return _FACTORIES[name][0]
    near = difflib.get_close_matches(name, [*known, *_GYMNASIUM], n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known are {', '.join(known)}"
    own = "; tasks of your own need --tasks FILE.py"
    if (slash and family in FAMILIES) or set(known) - _OURS:
        own = ""
    elif own_tasks.read_so_far:
        own = f"; {own_tasks.read_so_far[-1].name} registers none"
    raise UnknownTask(f"unknown task {name!r}: {hint}{own}")


def _changed(options: TaskOptions) -> dict[str, Any]:
    """The options that are not at their defaults, by name."""
    return {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(TaskOptions)
        if getattr(options, field.name) != field.default
    }


def _cartpole() -> Env:
    from awr_mjx.envs.gym.cartpole import CartPole

    return CartPole()


def _lunar_lander(wind: bool = False) -> Env:
    from awr_mjx.envs.gym.lunar_lander import LunarLander

    return LunarLander(wind)


def _inverted_pendulum() -> Env:
    from awr_mjx.envs.gym.inverted_pendulum import InvertedPendulum

    return InvertedPendulum()


def _register_gymnasium(name: str, task: str) -> None:
    def build(
        physics: Literal["fast", "exact"] = "fast", full_obs: bool = False, randomize: bool = False, impl: str = "jax"
    ) -> Env:
        from awr_mjx.envs.gym import locomotion

        return getattr(locomotion, task)(physics=physics, full_obs=full_obs, randomize=randomize, impl=impl)

    def build_paper(full_obs: bool = False, randomize: bool = False, impl: str = "jax") -> Env:
        from awr_mjx.envs.gym import locomotion

        return getattr(locomotion, task)(physics="paper", full_obs=full_obs, randomize=randomize, impl=impl)

    register(name, build, f"Gymnasium {task}-v5")
    register(f"paper/{name}", build_paper, f"Gym {task}-v2 on MuJoCo 2.0")


def _register_imitation(name: str) -> None:
    def build(
        robot: str = "",
        clip: tuple[str, ...] = (),
        touch: tuple[str, ...] = (),
        actions: Literal["residual", "absolute"] = "residual",
        fps: float = 0.0,
        give_up: float = 0.85,
    ) -> Env:
        from awr_mjx.envs.imitation import tasks

        return tasks.make(name, robot, clip, touch, actions, fps, give_up)

    def build_paper(robot: str = "", clip: tuple[str, ...] = (), touch: tuple[str, ...] = (), fps: float = 0.0) -> Env:
        return build(robot, clip, touch, "absolute", fps, 0.0)

    register(f"{_IMITATE}{name}", build, "DeepMimic, and section 5.3 of AWR's paper")
    if name != "march":
        register(f"paper/{_IMITATE}{name}", build_paper, "DeepMimic, with the actions of AWR's paper")


register("cartpole", _cartpole, "Gymnasium CartPole-v1")
register("lunar_lander", _lunar_lander, "Gymnasium LunarLander-v3")
register("inverted_pendulum", _inverted_pendulum, "Gymnasium InvertedPendulum-v5")
for _name in ("Ant", "HalfCheetah", "Hopper", "Walker2d", "Humanoid"):
    _register_gymnasium(_name.lower(), _name)
for _name in ("march", "humanoid", "dog", "robot"):
    _register_imitation(_name)
_OURS.update(_FACTORIES)
# By what each follows: "Gymnasium Ant-v5" is the source of ant.
_GYMNASIUM = {word: name for name, (_, words) in _FACTORIES.items() for word in words.split() if "-v" in word}
