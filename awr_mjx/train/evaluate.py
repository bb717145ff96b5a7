"""Plays whole episodes of a run's policy: `python -m train.evaluate --run RUN --episodes 100`."""

import dataclasses
import pathlib
from typing import Literal

from awr_mjx.envs import base
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import command, program, shown
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.console.files import check_writable, write_and_tell
from awr_mjx.train.console.working import working
from awr_mjx.train.engine.evaluation import Episodes, Evaluator, exact_evaluator
from awr_mjx.train.engine.jax_setup import start_jax
from awr_mjx.train.engine.player import Player
from awr_mjx.train.engine.restoring import Step
from awr_mjx.train.engine.streams import check_seed, stream
from awr_mjx.train.engine.task_files import Moved, MovedOption
from awr_mjx.train.policies import shipped

EPISODES_MAX = 1_000_000


@dataclasses.dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate."""

    run: pathlib.Path
    """Run folder, an exported .npz file, or the name of a policy that comes with the project (`train.play`)."""
    episodes: int = 100
    """Whole episodes to play, all at once; at most 1,000,000."""
    seed: int = 0
    """Start states follow from this."""
    step: Step = None
    """Checkpoint, by its env steps, or `best` for that of the best mode return; the newest sound one if not given."""
    sample: bool = False
    """Draw actions from the policy, as in training, instead of its mode."""
    physics: Literal["exact", "fast"] = "exact"
    """Where a task trains on a fast approximation of Gymnasium's physics: play in Gymnasium's own, or in that."""
    out: pathlib.Path | None = None
    """JSON file to write; evaluation.json (-sampled, -fast) in RUN, if that is a folder, if not given."""
    moved: MovedOption = dataclasses.field(default_factory=Moved)
    """Where files of the task are now that have been moved."""

    def validate(self) -> None:
        """Raises UserError for the first setting that makes no sense."""
        if not 0 < self.episodes <= EPISODES_MAX:
            raise UserError(f"episodes must be from 1 to {EPISODES_MAX:,}, not {self.episodes}")
        check_seed(self.seed)


def play(player: Player, config: EvaluateConfig) -> tuple[Episodes, bool]:
    """The episodes of `player`, and whether they were played in an exact physics that is not the task's own."""
    env, learner, learned = player.env, player.learner, player.learned
    of = env, learner, config.episodes, config.sample
    exact = exact_evaluator(*of, setting="episodes") if config.physics == "exact" else None
    evaluate = exact or Evaluator(env, learner, config.episodes, sample=config.sample)
    return evaluate(learned.policy, learned.normalizer, stream(config.seed, "evaluate")), bool(exact)


def main() -> int:
    """Prints mean and std of the returns and the task's terms per step, and writes them as JSON, with every return.

    Says how many episodes were ended by a step that broke the task.
    """
    config = cli.parse(
        EvaluateConfig, cli.arguments(), prog=program("evaluate"), description="Evaluate a run's policy."
    )
    config.validate()
    start_jax()
    player = shipped.find(config.run, config.step, config.moved)
    has_other = bool(base.exact(player.env, 1, 1))
    kinds = [kind for kind, so in (("sampled", config.sample), ("fast", has_other and config.physics == "fast")) if so]
    out = config.out or (config.run / f"{'-'.join(['evaluation', *kinds])}.json" if config.run.is_dir() else None)
    if out:
        check_writable(out, "name another file with --out")
    with working(f"playing {config.episodes:,} episodes of {player.config.env}"):
        seen, exact = play(player, config)
    returns, lengths, terms = seen.returns, seen.lengths, seen.terms_per_step()
    share = seen.return_share(player.env)
    of_most = "" if share is None else f" ({share:.0%} of the most possible)"
    result = {
        "env": player.config.env,
        player.config.clock: player.steps,
        "episodes": config.episodes,
        "seed": config.seed,
        "actions": "sampled" if config.sample else "mode",
        **({"physics": config.physics} if has_other else {}),
        "return_mean": float(returns.mean()),
        "return_std": float(returns.std()),
        **({} if share is None else {"return_share": share}),
        "steps_mean": float(lengths.mean()),
        "whole": seen.whole(player.env.episode_length),
        "broken": int(seen.broken.sum()),
        **terms,
        "returns": [float(x) for x in returns],
    }

    def tell() -> None:
        print(
            f"{result['env']} after {player.after}: {result['actions']} return {result['return_mean']:.1f} ± "
            f"{result['return_std']:.1f}{of_most} over {config.episodes} episodes of {result['steps_mean']:.0f} steps "
            f"on average, {result['whole']:.0%} whole{', in the exact physics' if exact else ''}"
        )
        if trouble := seen.trouble():
            print(f"{trouble}: see {command('check', '--env', player.config.env)}")
        if terms:
            per_step = ", ".join(f"{name.removeprefix('terms/')} {value:.3g}" for name, value in terms.items())
            print(f"a step gives on average: {per_step}")

    write_and_tell(out, result, tell)
    if out:
        print(f"every return: {shown(out)}")
    return 0


if __name__ == "__main__":
    run_program(main)
