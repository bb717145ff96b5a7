"""Trained policies that come with the project, and how an exported one is played as that of a run is."""

import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from awr_mjx.algorithm.config import AwrConfig
from awr_mjx.algorithm.learner import Learner
from awr_mjx.algorithm.normalizer import Normalizer
from awr_mjx.envs import registry
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.player import Player, load_policy
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.task_files import STAYED, Moved
from awr_mjx.train.policies import npz_player

FOLDER = pathlib.Path(__file__).parent / "trained"
FLOOR = 1e-3  # of the std of a policy whose std was learned


def names() -> list[str]:
    """The tasks of which there is a policy."""
    return sorted(path.stem for path in FOLDER.glob("*.npz"))


def about() -> dict[str, dict[str, Any]]:
    """What each of them is worth and how it was trained, by its task: `trained.json`, written by hand."""
    return dict(json.loads((FOLDER / "trained.json").read_text()))


def find(place: pathlib.Path, step: Step = None, moved: Moved = STAYED) -> Player:
    """The policy of the run `place`, from a checkpoint of its; that which is called so here; or that of an .npz file.

    Raises:
      UserError: if there is none.
    """
    if (place / "config.json").is_file() or place.is_dir():
        return load_policy(place, step, moved)
    if str(place) not in names() and place.suffix != ".npz":
        known = f"one of {', '.join(names())}, a run folder, or an exported .npz file"
        raise UserError(f"there is no policy {str(place)!r}: name {known}")
    if step is not None:
        raise UserError(f"{place} is no run and has no checkpoints: leave --step out")
    return read(FOLDER / f"{place}.npz" if str(place) in names() else place)


def refuse(run: pathlib.Path) -> None:
    """Raises UserError if `run`, where a run folder is wanted, is what a policy is called here."""
    if not run.exists() and str(run) in names():
        raise UserError(f"{run} is a policy that comes with the project, as {FOLDER / run}.npz: name a run folder")


def read(path: pathlib.Path) -> Player:
    """The policy of an exported .npz file, in the task that it is for.

    Its actions are those of the file; its noise is that of the end of the training.

    Raises:
      UserError: if the file is none, or its task is not known or has other sizes now.
    """
    try:
        policy = npz_player.load(path)
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError) as error:
        raise UserError(str(error)) from error
    told = policy.metadata
    env = registry.make(told["task"])
    if (env.observation_size, env.action_size) != (told["observation_size"], told["action_size"]):
        sizes = f"{told['observation_size']} observations and {told['action_size']} actions"
        raise UserError(
            f"{path} is for a {told['task']} of {sizes}: it was trained with options that are not in the file"
        )
    std = float(arrays["action_std"].max()) if "action_std" in arrays else 1.0
    awr = AwrConfig(
        policy_hidden=tuple(told["hidden"]),
        activation=told["activation"],
        obs_clip=told["obs_clip"],
        std=std + FLOOR,
        std_min=FLOOR,
        learn_std=not env.discrete,
        value_updates=0,  # there are no values in the file
    )
    learner = Learner(awr, env.observation_size, env.action_size, env.discrete)
    empty = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(learner.init, jax.random.key(0)))
    net = {
        layer: {name: jnp.asarray(arrays[f"{layer}_{name}"]) for name in values}
        for layer, values in empty.policy["net"].items()
    }
    parameters: dict[str, Any] = {"net": net}
    if not env.discrete:  # softplus and the floor give the std again
        parameters["raw_std"] = jnp.log(jnp.expm1(jnp.maximum(jnp.asarray(arrays["action_std"]) - FLOOR, 1e-6)))
    stats = Normalizer(jnp.float32(1.0), jnp.asarray(arrays["obs_mean"]), jnp.asarray(arrays["obs_std"]) ** 2)
    learned = empty.replace(policy=parameters, normalizer=stats)
    steps = int(told.get("env_steps", told.get("gradient_steps", 0)))
    return Player(TrainConfig(env=told["task"], awr=awr), env, learner, learned, steps)
