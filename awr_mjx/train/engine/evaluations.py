"""What a run's policy is worth: its evaluations, between epochs or beside them, and what they tell the logs."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from awr_mjx.algorithm.normalizer import Normalizer
from awr_mjx.envs import absent
from awr_mjx.train.console.screen import Screen, number
from awr_mjx.train.engine.checkpointing import Checkpoints
from awr_mjx.train.engine.clock import Clock
from awr_mjx.train.engine.config import TrainConfig
from awr_mjx.train.engine.evaluation import Episodes, Evaluator, ExactEvaluator, ManyEvaluator, exact_evaluator
from awr_mjx.train.engine.loop import Loop, TrainState
from awr_mjx.train.engine.many import Many
from awr_mjx.train.engine.metrics_log import MetricsLog, Values
from awr_mjx.train.engine.signals import Stop
from awr_mjx.train.engine.static_loop import StaticLoop
from awr_mjx.train.engine.streams import stream


def apart() -> bool:
    """Whether the host's cores are free while a training runs."""
    return jax.default_backend() != "cpu"


def _key(seed: int) -> jax.Array:
    """That of all evaluations of a run."""
    return stream(seed, "evaluation")


class _Beside(threading.Thread):
    """An evaluation of what was learned after `steps`, which runs beside the training, or else in its place.

    Attributes:
      found: what the episodes gave, if it was not broken off.
      problem: what has broken it off, if that was not a stop: it must not end the training.
    """

    def __init__(self, evaluate: Callable[[], Episodes | None], steps: int, values: Values) -> None:
        super().__init__(daemon=True)
        self._evaluate, self.steps, self.values = evaluate, steps, values
        self.found: Episodes | None = None
        self.problem: Exception | None = None

    def run(self) -> None:
        try:
            self.found = self._evaluate()
        except Exception as problem:  # of whatever kind somebody else's physics raises
            self.problem = problem


@dataclasses.dataclass(frozen=True)
class Evaluators:
    """What plays the policies that a `loop` learns: `here`, and in their `exact` physics, if any, one at a time.

    Those of several trainings in one program may all be played at once: `many`, in place of `here`.
    """

    here: Evaluator | None = None
    exact: ExactEvaluator | None = None
    many: ManyEvaluator | None = None
    one_at_a_time: threading.Lock = dataclasses.field(default_factory=threading.Lock)

    @classmethod
    def of(cls, config: TrainConfig, loop: "Loop | StaticLoop | Many") -> "Evaluators":
        """Those that a run of settings `config` has."""
        if config.env == absent.NAME:
            return cls()
        of = loop.env, loop.learner, config.eval_envs
        fit = isinstance(loop, Many) and config.eval_envs <= config.num_envs  # where as many were trained at once
        exact = exact_evaluator(*of) if config.eval_physics == "exact" else None
        return cls(Evaluator(*of, loop.mesh), exact, ManyEvaluator(*of, loop.mesh) if fit else None)

    def compile(self, one: TrainState, all_: TrainState) -> None:
        """Compiles what they need for policies such as that of `one` training, or of `all_` in the program."""
        for evaluate, state in ((self.many, all_), (None if self.many else self.here, one), (self.exact, one)):
            if evaluate:
                evaluate.compile(state.learner.policy, state.learner.normalizer)

    def play_all(self, stopped: Callable[[], bool], state: TrainState, seeds: Sequence[int]) -> list[Episodes] | None:
        """What the policies of all trainings in the program gave, of these `seeds`; None as soon as `stopped()`."""
        assert self.many
        keys = jnp.stack([_key(seed) for seed in seeds])
        return self.many.each(stopped, state.learner.policy, state.learner.normalizer, keys)

    def play_exactly(
        self, stopped: Callable[[], bool], policy: Any, stats: Normalizer, key: jax.Array
    ) -> Episodes | None:
        """`ExactEvaluator.unless`, whose robots are those of all runs."""
        assert self.exact
        with self.one_at_a_time:
            return self.exact.unless(stopped, policy, stats, key)


class Evaluations:
    """Plays the mode action for whole episodes, the same start states each time; training does not notice.

    Where a task trains on an approximation of its physics, the mode return is that of the exact physics, unless the
    run's `eval_physics` is "fast", and that of the approximation is told beside it. The exact physics runs on the
    host's cores: between epochs where these train, and beside the training where an accelerator does.

    Attributes:
      mode_return: the newest, None before the first.
      best: the highest, likewise.
    """

    def __init__(
        self,
        config: TrainConfig,
        loop: Loop | StaticLoop | Many,
        evaluators: Evaluators,
        screen: Screen,
        stop: Stop,
        clock: Clock,
        log: MetricsLog,
        saves: Checkpoints,
        name: str = "",
    ) -> None:
        """Evaluates what `loop` learns; tells `screen` and `log`, and `saves` which of its checkpoints is best.

        `name` tells the run from others on the screen.
        """
        self._config, self._loop, self._screen, self._stop = config, loop, screen, stop
        self._clock, self._log, self._saves = clock, log, saves
        self._words, self._name = config.clock_words, name and f"{name}, "
        self._evaluators, self._here, self._exact = evaluators, evaluators.here, evaluators.exact
        self._beside: _Beside | None = None
        self.mode_return: float | None = log.newest.get("mode_return")
        self.best: float | None = max(saves.returns.values(), default=None)

    def evaluate(self, state: TrainState, steps: int, played: Episodes | None = None) -> None:
        """Evaluates what `state` has learned after `steps`; what is held out of logged data is looked at first.

        `played` is what has been played together with the policies of other trainings, so far as that is all.
        A stop breaks it off, and then nothing is told. Beside a training it has only begun here: `take` tells of it.
        """
        self.take(wait=True)
        learner = state.learner
        if self._loop.held_out:
            seen = self._loop.held_out(learner)
            self._log.write(steps, seen)
            shown = ", ".join(f"{name[9:].replace('_', ' ')} {number(value)}" for name, value in seen.items())
            self._screen.say(
                f"{self._name}{steps:,} {self._words}: {self._loop.held_out.episodes:,} held-out episodes: {shown}"
            )
        if not self._here:
            self._clock.note("evaluate")
            self._log.write(steps, self._clock.report())
            return
        values = {"gradient_steps": float(int(state.counts.gradient_steps))}
        key = _key(self._config.seed)
        found = played or self._here.unless(self._stopped, learner.policy, learner.normalizer, key)
        if found and self._exact:
            values |= {"mode_return_fast": float(found.returns.mean()), "mode_whole_fast": self._whole(found)}
            self._warn_broken(found, "in the fast physics: ")
            policy, stats = jax.tree.map(jnp.copy, (learner.policy, learner.normalizer))  # the state is donated
            self._clock.note("evaluate")
            play = functools.partial(self._evaluators.play_exactly, self._stopped, policy, stats, key)
            self._beside, self._saves.awaited = _Beside(play, steps, values | self._clock.report()), steps
            if apart():
                self._beside.start()
                return
            self._beside.run()
            self._clock.note("evaluate")
            self._beside.values |= self._clock.report()
            self.take()
            return
        self._clock.note("evaluate")
        if found:
            self._tell(found, steps, values | self._clock.report())

    def take(self, wait: bool = False) -> None:
        """Tells of the evaluation beside the training, if it is over, or when it is (`wait`)."""
        beside = self._beside
        if beside and wait and apart():
            beside.join()
        if not beside or beside.is_alive():
            return
        self._beside = self._saves.awaited = None
        if beside.problem:
            words = " ".join(str(beside.problem).split())
            self._screen.say(
                f"warning: {self._name}the evaluation at {beside.steps:,} {self._words} broke off: {words}"
            )
        if beside.found:
            self._tell(beside.found, beside.steps, beside.values)

    def _tell(self, found: Episodes, steps: int, values: Values) -> None:
        """Logs and shows what the episodes gave, with `values`; their mean return is that of the checkpoint there."""
        returns, lengths, env = found.returns, found.lengths, self._loop.env
        self.mode_return = float(returns.mean())
        if not found.broken.any():  # episodes that the task has cut short are no measure of what is best
            self._saves.returns[steps] = self.mode_return
            self.best = self.mode_return if self.best is None else max(self.best, self.mode_return)
        values |= {"mode_return": self.mode_return, "mode_return_std": float(returns.std())}
        values |= {"mode_steps": float(lengths.mean()), "mode_whole": self._whole(found)}
        share = found.return_share(env)
        values |= {} if share is None else {"mode_return_share": share}
        values |= {f"mode_{name}": value for name, value in found.terms_per_step().items()}
        if self._warn_broken(found):
            values["mode_broken"] = float(found.broken.sum())
        self._log.write(steps, values)
        fast = values.get("mode_return_fast")
        beside = "" if fast is None else f" (fast physics {number(fast, 4)})"
        whole = f", {values['mode_whole']:.0%} whole" if fast is None else ""
        spread = f"± {number(float(returns.std()))}"
        self._screen.say(
            f"{self._name}{steps:,} {self._words}: mode return {number(self.mode_return, 4)} {spread}{beside}, "
            f"{lengths.mean():.0f} steps{whole}"
        )

    def _warn_broken(self, found: Episodes, where: str = "") -> bool:
        """Whether steps that broke the task have ended episodes, which is said."""
        trouble = found.trouble()
        if trouble:
            self._screen.say(f"warning: {self._name}{where}{trouble}")
        return bool(trouble)

    def _stopped(self) -> bool:
        return bool(self._stop.asked)

    def _whole(self, found: Episodes) -> float:
        return found.whole(self._loop.env.episode_length)
