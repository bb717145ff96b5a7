"""Does it hold elsewhere: `python -m train.transfer --run RUN --episodes 100`.

Plays a run's mode action in the Gymnasium environment that its task follows (CPU MuJoCo, Gymnasium's own integrator,
contacts and solver), or that of an imitate/ task in C MuJoCo with a converged solver and fine steps, and in the task
itself, and prints both mean returns and their ratio.
"""

import dataclasses
import pathlib
from typing import Any, Literal, cast

import jax
import numpy as np

from awr_mjx.envs.packages import install
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.console.files import check_writable, write_and_tell
from awr_mjx.train.console.working import track, working
from awr_mjx.train.engine.evaluation import Evaluator
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.player import Player
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.streams import check_seed, stream
from awr_mjx.train.engine.task_files import Moved, MovedOption
from awr_mjx.train.policies import shipped

YOUNG = 1.25  # times what it returns in training's physics: more than any policy at the end of its training


@dataclasses.dataclass(frozen=True)
class TransferConfig:
    """What to play."""

    run: pathlib.Path
    """Run folder, an exported .npz file, or the name of a policy that comes with the project (`train.play`)."""
    episodes: int = 100
    """Whole episodes to play, there and here."""
    seed: int = 0
    """Start states follow from this."""
    step: Step = None
    """Checkpoint, by its env steps, or `best` for that of the best mode return; the newest sound one if not given."""
    out: pathlib.Path | None = None
    """JSON file to write; RUN/transfer.json if not given. Where RUN is no folder, there is none."""
    timestep: float = 1 / 480
    """Seconds of a step of C MuJoCo, for imitate/ tasks."""
    drive: Literal["servo", "stable_pd"] = "servo"
    """Servos of imitate/ tasks there: those of training, or DeepMimic's (which want steps of 1/1200 s or less)."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task are now that have been moved."""


def play_in_gymnasium(player: Player, episodes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns float64 [E] returns and int64 [E] lengths of `episodes` of the mode action in the task's twin.

    Raises:
      UserError: if the task has no twin, or Gymnasium is not there.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise UserError(f"Gymnasium is not installed: {install('gymnasium')}") from error
    twin = getattr(player.env, "gymnasium", None)
    if twin is None:
        raise UserError(f"task {player.config.env!r} follows no environment of today's Gymnasium")

    learner, learned = player.learner, player.learned
    mode = jax.jit(lambda obs: learner.policy(learned.policy, learned.normalizer, obs).mode())
    try:
        env = gymnasium.make(twin.name, **twin.options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise UserError(f"{twin.name} needs more than Gymnasium: {install('gymnasium')}") from error
    returns, lengths = np.zeros(episodes), np.zeros(episodes, int)
    for episode in track(range(episodes), f"playing {episodes:,} episodes of {twin.name}"):
        obs, _ = env.reset(seed=seed + episode)
        ended = False
        while not ended:
            action = np.asarray(mode(np.asarray(obs, np.float32)))
            obs, reward, terminated, truncated, _ = env.step(_action(player.env, twin, action))
            returns[episode] += float(reward)
            lengths[episode] += 1
            ended = terminated or truncated
    env.close()
    return returns, lengths


def play_in_c(player: Player, config: TransferConfig) -> tuple[np.ndarray, np.ndarray]:
    """Returns float64 [E] returns and int64 [E] lengths of episodes of the mode action in C MuJoCo."""
    from awr_mjx.envs.imitation import in_c

    learner, learned, task = player.learner, player.learned, cast(Any, player.env)
    mode = jax.jit(lambda obs: learner.policy(learned.policy, learned.normalizer, obs).mode())
    keys = jax.random.split(stream(config.seed, "evaluate"), config.episodes)  # the starts of the evaluation here
    with working("playing C MuJoCo", task.episode_length) as tell:
        return in_c.play(task, mode, keys, config.timestep, config.drive, tell)


def _action(env: Any, twin: Any, action: np.ndarray) -> Any:
    return int(action) if env.discrete else twin.action_scale * np.clip(action, -1.0, 1.0)


def main() -> int:
    """Prints the returns there and here and their ratio, and writes them, one by one too, as JSON."""
    config = cli.parse(
        TransferConfig, cli.arguments(), prog=program("transfer"), description="Play a run in Gymnasium or C MuJoCo."
    )
    if config.episodes <= 0:
        raise UserError(f"episodes must be a positive number, not {config.episodes}")
    if not 0 < config.timestep <= 1:
        raise UserError(f"timestep must be above 0 and at most 1, not {config.timestep:g}")
    check_seed(config.seed)
    start_jax()
    player = shipped.find(config.run, config.step, config.moved)
    out = config.out or (config.run / "transfer.json" if config.run.is_dir() else None)
    if out:
        check_writable(out, "name another file with --out")
    imitates = hasattr(player.env, "wanted_positions")
    if imitates:
        dt = player.env.dt
        if config.timestep > dt * (1 + 1e-6):
            raise UserError(f"timestep must be at most a control step, {dt:.4g} s, not {config.timestep:g}")
        step = dt / max(1, round(dt / config.timestep))  # a whole number of them is a control step
        where, name = "c_mujoco", f"C MuJoCo, {config.drive}, {step:.3g} s"
        there, lengths = play_in_c(player, config)
    else:
        where = "gymnasium"
        there, lengths = play_in_gymnasium(player, config.episodes, config.seed)
        name = player.env.gymnasium.name  # type: ignore[attr-defined]
    evaluator = Evaluator(player.env, player.learner, config.episodes)
    key = stream(config.seed, "evaluate")
    with working(f"playing {config.episodes:,} episodes of {player.config.env} in the physics of training"):
        found = evaluator(player.learned.policy, player.learned.normalizer, key)
    here = found.returns
    ratio = float(there.mean() / here.mean()) if here.mean() > 0 else None  # no share of nothing, or of a loss
    result = {"env": player.config.env, player.config.clock: player.steps, where: name, "ratio": ratio}
    if imitates:
        result |= {"whole": float((lengths >= player.env.episode_length).mean()), "timestep": step}
    lists = {f"returns_{where}": [float(x) for x in there], "returns_here": [float(x) for x in here]}

    def tell() -> None:
        steps = f"{config.episodes} episodes of {lengths.mean():.0f} steps"
        whole = f", {result['whole']:.0%} of them whole" if imitates else ""
        print(f"{name}: {there.mean():.1f} ± {there.std():.1f} over {steps} on average{whole}")
        print(f"{player.config.env}, in the physics of training: {here.mean():.1f} ± {here.std():.1f}")
        if trouble := found.trouble():
            print(f"{player.config.env}: {trouble}")
        young = " (a young policy falls sooner in the physics of training)" if (ratio or 0.0) > YOUNG else ""
        print("kept: -" if ratio is None else f"kept: {ratio:.1%}{young}")

    write_and_tell(out, result | lists, tell)
    return 0


if __name__ == "__main__":
    run_program(main)
