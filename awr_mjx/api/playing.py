"""Trained policies from Python: loaded, called, played, shown and exported."""

import base64
import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from awr_mjx.api.setup import TROUBLE, Folder, start
from awr_mjx.train import evaluate as evaluation
from awr_mjx.train import export as exporting
from awr_mjx.train.console.errors import UserError
from awr_mjx.train.engine import config as settings_of
from awr_mjx.train.engine.player import Player, load_policy
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.pictures.film import RenderConfig, episodes, render
from awr_mjx.train.policies.formats import write_metadata


class Policy:
    """A trained policy: call it with observations to get actions.

    Attributes:
      run: the folder of the run that it is of.
      step: how many steps it was trained for.
      task: the name of its task.
      env: the task, an object with `reset(key)` and `step(state, action)` (`awr_mjx.envs.base.Env`).
    """

    def __init__(self, run: pathlib.Path, player: Player) -> None:
        """Of a run's folder and what was read there; `load` makes one."""
        self.run, self.player = run, player
        self.step, self.task, self.env = player.steps, player.config.env, player.env
        self._act = jax.jit(self._actions)

    def _actions(self, learned: Any, obs: jax.Array) -> jax.Array:
        mode: jax.Array = self.player.learner.policy(learned.policy, learned.normalizer, obs).mode()
        return mode

    def __call__(self, obs: Any) -> np.ndarray:
        """The actions, float32 [A] or [N, A], for observations [O] or [N, O]; int32 [] or [N] where they are choices.

        They are modes. Those of tasks in [-1, 1] may lie outside, which a task clips.

        Raises:
          UserError: if the observations have another size.
        """
        rows = np.asarray(obs, np.float32)
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.env.observation_size:
            raise UserError(f"{self.task} has observations of {self.env.observation_size} numbers, not {rows.shape}")
        return np.asarray(self._act(self.player.learned, rows))

    def __repr__(self) -> str:
        return f"Policy({self.task!r} after {self.player.after}, {str(self.run)!r})"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What whole episodes gave.

    Attributes:
      returns: float32 [E].
      lengths: int32 [E], control steps.
      broken: bool [E], a step that broke the task ended it.
      terms: the task's own numbers, the mean over all steps, by name.
      whole: the share of the episodes that lasted to their time limit.
      exact: whether Gymnasium's own physics was played, where the task trains on an approximation.
    """

    returns: np.ndarray
    lengths: np.ndarray
    broken: np.ndarray
    terms: dict[str, float]
    whole: float
    exact: bool

    @property
    def mean(self) -> float:
        """The mean return."""
        return float(self.returns.mean())

    @property
    def std(self) -> float:
        """The standard deviation of the returns."""
        return float(self.returns.std())


@dataclasses.dataclass(frozen=True)
class Film:
    """A film or picture on the disk, which a notebook shows.

    Attributes:
      path: the file.
      returns: of the episodes that it shows.
    """

    path: pathlib.Path
    returns: tuple[float, ...]

    def __fspath__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        kind, data = self.path.suffix[1:].lower(), base64.b64encode(self.path.read_bytes()).decode()
        if kind == "mp4":
            return f'<video controls autoplay loop muted src="data:video/mp4;base64,{data}"></video>'
        return f'<img src="data:image/{kind};base64,{data}">'


def load(run: Folder, step: Step = None) -> Policy:
    """The policy of a run: of its newest checkpoint, of the one after `step` env steps, or of the "best".

    Raises:
      UserError: if there is no such run or checkpoint.
    """
    folder = pathlib.Path(run)
    start(settings_of.read(folder))
    return Policy(folder, load_policy(folder, step))


def evaluate(
    policy: Policy, episodes: int = 100, *, seed: int = 0, sample: bool = False, physics: str = "exact"
) -> Evaluation:
    """Plays whole episodes of a policy's mode action, or with its noise (`sample`).

    A task that trains on an approximation of Gymnasium's physics is played in Gymnasium's own, in C MuJoCo, unless
    `physics` is "fast".

    Raises:
      UserError: if there is nothing to play.
    """
    if physics not in ("exact", "fast"):
        raise UserError(f"physics must be exact or fast, not {physics!r}")
    config = evaluation.EvaluateConfig(policy.run, episodes, seed, sample=sample, physics=physics)  # type: ignore[arg-type]
    config.validate()
    seen, exact = evaluation.play(policy.player, config)
    terms = {name.removeprefix("terms/"): value for name, value in seen.terms_per_step().items()}
    whole = seen.whole(policy.env.episode_length)
    return Evaluation(seen.returns, seen.lengths, seen.broken, terms, whole, exact)


def film(policy: Policy, out: Folder = "policy.mp4", **settings: Any) -> Film:
    """Writes a film (.mp4), an animation (.gif) or a sheet of frames (.png) of a policy's mode action.

    `settings` are those of `python -m awr_mjx.train.render --help`: `seconds=4`, `grid="3x3"`, `width=1280`.

    Raises:
      UserError: if the task or the computer cannot draw, or the file cannot be written.
    """
    path = pathlib.Path(out)
    known = {field.name for field in dataclasses.fields(RenderConfig)} - {"run", "out", "step", "moved"}
    if wrong := sorted(set(settings) - known):
        raise UserError(f"film has no {', '.join(wrong)}; it has {', '.join(sorted(known))}")
    config = RenderConfig(policy.run, path, **settings)
    config.validate(path.suffix.lower())
    if TROUBLE and not hasattr(policy.env, "picture"):
        raise TROUBLE[0]
    clips, _, _ = render(policy.player, config, path)
    return Film(path, tuple(end.total for clip in clips for end in episodes(clip)))


def export(policy: Policy, out: Folder) -> pathlib.Path:
    """Writes a policy as .npz, .onnx or .stablehlo, which needs JAX alone; it is checked against JAX before it is kept.

    Raises:
      UserError: if it cannot be written, or does not play as JAX does.
    """
    path = pathlib.Path(out)
    exporting.ExportConfig(policy.run, path).kind()
    exporting.export(policy.player, path)
    write_metadata(policy.player, path)
    return path
