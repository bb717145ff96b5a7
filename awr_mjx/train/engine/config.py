"""The settings of a training run: what `python -m train.main --help` shows."""

import dataclasses
import importlib.util
import json
import pathlib
import types
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.envs.packages import install
from awr_mjx.envs.registry import TaskOptions
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.datasets.choice import Filter, Logged
from awr_mjx.train.engine.streams import check_seed

VIDEO_MOST = 60.0  # s
STEPS_LAST, COUNT_LAST = 2**62, 2**31 - 1  # that are counted; env steps have 64 bits
UNLIMITED = 10**12  # env steps of a run that its minutes alone end


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """A training run."""

    env: str = "ant"
    """Task to train on; `list` shows them all."""
    task: Annotated[TaskOptions, tyro.conf.arg(name="env")] = dataclasses.field(default_factory=TaskOptions)
    """Options of the task."""
    num_envs: int = 4096
    """Environments that step in parallel; unless --rollout_steps is given, iteration and ring keep their samples."""
    num_steps: int = 8_000_000
    """Env steps to train for, all environments together (rounded up to whole epochs); with --data, gradient steps."""
    minutes: float = 0.0
    """Minutes to train for, besides compiling and evaluations; 0: no limit. --num_steps may end it sooner."""
    seed: int = 0
    """Everything random in a run follows from this. Several, `--seed 0 1 2`, are trained one after the other."""
    devices: int = 0
    """Devices that share the work evenly; 0: all that get 32 envs and 64 batch rows. On CPUs each core is one."""
    epoch_iterations: int = 1
    """Iterations that run on the device between two looks from the host. More is faster for quick tasks."""

    num_evals: int = 0
    """Evaluations of the mode action, evenly spread, one at the end; 0: ten, or fewer that take a tenth of the time."""
    eval_envs: int = 64
    """Whole episodes per evaluation."""
    eval_physics: Literal["exact", "fast"] = "exact"
    """Evaluate in Gymnasium's own physics, on the CPU, where a task trains on a fast approximation of it."""

    checkpoint_seconds: float = 300.0
    """Seconds between two saves; each evaluation, the end of the run and an interruption save too."""
    keep: int = 3
    """Newest checkpoints to keep; the best one is kept besides."""
    checkpoint_ring: bool = True
    """Save the replay ring too. Without it checkpoints are small but a resume is not exact."""
    video_seconds: float = 0.0
    """Simulated seconds to film after each evaluation, for TensorBoard and Weights & Biases; 0: no film."""
    wandb: bool = False
    """Log to Weights & Biases too; with WANDB_MODE=offline in the environment, to the run's folder alone."""

    logged: Annotated[Logged, tyro.conf.arg(name="")] = dataclasses.field(default_factory=Logged)
    """Logged data to learn from instead."""
    begin: Annotated[str, tyro.conf.arg(name="from")] = ""
    """Begin with logged data in the ring (a set), or with a run's networks and the data that it learned from."""
    awr: Annotated[AwrConfig, tyro.conf.arg(name="")] = dataclasses.field(default_factory=AwrConfig)
    """The algorithm."""

    @property
    def clock(self) -> str:
        """What the steps of this run are called: env_steps, or gradient_steps where it collects nothing."""
        return "gradient_steps" if self.logged else "env_steps"

    @property
    def clock_words(self) -> str:
        """The same for people."""
        return self.clock.replace("_", " ")

    @property
    def epoch_steps(self) -> int:
        """Env steps of one epoch, all environments together, or its gradient steps where it collects nothing."""
        if self.logged:
            return (self.awr.value_updates + self.awr.policy_updates) * self.epoch_iterations
        return self.num_envs * self.awr.rollout_steps * self.epoch_iterations

    def validate(self) -> None:
        """Refuses settings that make no sense.

        Raises:
          UserError: with one line that names the first such setting and what to write instead.
        """
        if self.wandb and importlib.util.find_spec("wandb") is None:
            raise UserError(f"Weights & Biases is not installed: {install('wandb')}, or leave --wandb out")
        for name in ("num_envs", "num_steps", "epoch_iterations", "eval_envs", "keep"):
            last = STEPS_LAST if name == "num_steps" else COUNT_LAST
            if not 0 < getattr(self, name) <= last:
                raise UserError(f"{name} must be a positive number up to {last:,}, not {getattr(self, name)}")
        if not 0 <= self.num_evals <= COUNT_LAST:
            raise UserError(f"num_evals must be from 0, for ten at most, to {COUNT_LAST:,}, not {self.num_evals}")
        if self.devices < 0:
            raise UserError(f"devices must be a positive number, or 0 for all, not {self.devices}")
        for name, count in (("num_envs", self.num_envs), ("batch_size", self.awr.batch_size)):
            if self.devices and count % self.devices:
                raise UserError(f"{name} {count} cannot be shared out evenly over {self.devices} devices: change one")
        if not 0 < self.checkpoint_seconds < float("inf"):
            raise UserError(f"checkpoint_seconds must be a positive number, not {self.checkpoint_seconds}")
        if not 0 <= self.video_seconds <= VIDEO_MOST:
            raise UserError(f"video_seconds must be from 0, for no film, to {VIDEO_MOST:g}, not {self.video_seconds}")
        if not 0 <= self.minutes < float("inf"):
            raise UserError(f"minutes must be a positive number, or 0 for no limit, not {self.minutes}")
        check_seed(self.seed)
        problems = self.awr.problems()
        if problems:
            raise UserError(problems[0])
        self.logged.validate()
        return self._validate_static() if self.logged else self._validate_collecting()

    def _validate_collecting(self) -> None:
        """Refuses what makes no sense where environments are played."""
        if self.begin and self.awr.returns == "monte_carlo":
            raise UserError("--from is for TD(lambda) returns, and returns is monte_carlo: leave one out")
        samples = self.num_envs * self.awr.capacity
        if self.awr.batch_size > samples:
            raise UserError(
                f"batch_size {self.awr.batch_size} is larger than the replay ring ({self.num_envs} envs x "
                f"{self.awr.capacity} rows = {samples}): lower it, or raise num_envs, rollout_steps or buffer_blocks"
            )
        if self.epoch_steps >= 2**31:
            steps = f"{self.epoch_steps:,}"
            raise UserError(f"an epoch has {steps} env steps: lower num_envs, rollout_steps or epoch_iterations")

    def _validate_static(self) -> None:
        """Refuses what makes no sense where nothing is collected, so that there are no env steps."""
        if self.begin:
            raise UserError("--from is for runs that collect, and with --data nothing is collected: leave one out")
        if self.devices > 1:
            raise UserError(f"learning from --data runs on one device, not on {self.devices}: leave --devices out")
        for name, off in (("std_end", 0.0), ("gamma_end", 0.0), ("episodes", "all")):
            if getattr(self.awr, name) != off:
                raise UserError(f"{name} needs env steps, and learning from --data has none: leave it at {off}")
        if not self.epoch_steps:
            raise UserError("value_updates and policy_updates are both 0: there is nothing to learn with")


# What may be different when a run is resumed; all else would make it another run.
CHANGEABLE = frozenset(
    (
        *("num_steps", "minutes", "num_evals", "eval_envs", "video_seconds", "checkpoint_seconds", "keep"),
        *("checkpoint_ring", "wandb"),
    )
) | {"data", "begin", "env.robot", "env.clip"}  # where files lie; whether they are the same is told by their checksums


def to_dict(config: TrainConfig) -> dict[str, Any]:
    """The settings as plain JSON values."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """`to_dict`'s values as one level, with names such as `awr.beta`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def from_dict(values: dict[str, Any], source: str) -> TrainConfig:
    """Settings from `to_dict`'s values.

    Raises:
      UserError: if `source` (named in the message) has settings that this version does not know.
    """
    try:
        before = {"give_up": 0.0} if values["env"].startswith("imitate/") else {}  # runs of before did not give up
        found = TrainConfig(
            **{
                **({"eval_physics": "fast"} | values),  # as runs of before were evaluated
                "awr": AwrConfig(**_with_tuples(values["awr"])),
                "task": TaskOptions(**_with_tuples(before | values["task"])),
                "logged": _logged(values.get("logged", {})),  # runs of before have none
            }
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{source} is not a run of this version: {error}") from error
    for part in (found, found.awr, found.task, found.logged, found.logged.filter):
        for name, kind in get_type_hints(type(part)).items():
            if not _fits(getattr(part, name), kind):
                wanted = "one of " + ", ".join(get_args(kind)) if get_origin(kind) is Literal else str(kind)
                wanted = getattr(kind, "__name__", wanted) if get_origin(kind) is None else wanted
                raise UserError(f"{source} has {name} {getattr(part, name)!r}, not {wanted}")
    return found


def _logged(values: dict[str, Any]) -> Logged:
    return Logged(**{**_with_tuples(values), "filter": Filter(**values.get("filter", {}))})


def _with_tuples(values: dict[str, Any]) -> Any:
    """JSON has lists for them."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _fits(value: Any, kind: Any) -> bool:
    """Whether a setting is of the type that it is declared with."""
    if get_origin(kind) is types.UnionType:
        return any(_fits(value, one) for one in get_args(kind))
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(one, get_args(kind)[0]) for one in value)
    return type(value) is kind or (kind is float and type(value) is int)


def differences(old: TrainConfig, new: TrainConfig) -> list[str]:
    """'name old -> new' for every setting that differs and is not in `CHANGEABLE`."""

    a, b = _flat(to_dict(old)), _flat(to_dict(new))
    return [f"{name} {a[name]} -> {b[name]}" for name in a if a[name] != b[name] and name not in CHANGEABLE]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by the names that the command line has for them."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= _flat(
                value, prefix + {"awr": "", "task": "env.", "logged": "", "filter": ""}.get(name, f"{name}.")
            )
        else:
            found[prefix + name] = value
    return found


def read(run: pathlib.Path) -> TrainConfig:
    """The settings of the run in folder `run`.

    Raises:
      UserError: if there is no run, or its `config.json` cannot be read.
    """
    path = run / "config.json"
    if not path.is_file():
        inside = sorted(str(place.parent) for place in run.glob("*/config.json"))
        several = f"it holds {len(inside)}, name one, such as {inside[0]}" if inside else "it has no config.json"
        raise UserError(f"{run} is not a run folder: {several}")
    try:
        return from_dict(json.loads(path.read_text())["settings"], str(path))
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
