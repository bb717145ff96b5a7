"""A learning curve of Brax's PPO or SAC on one of our tasks, with the clock and the evaluation of our own runs.

    python -m awr_mjx.train.benchmarks.brax_trainers --algorithm ppo --env ant --minutes 20 --run_dir curves/ppo-ant

Needs the extra `brax`. The trainers are Brax's, with its own wrappers (vmap, time limit, auto reset) and the
hyper-parameters that its authors published. `metrics.jsonl` gets a line per evaluation, the first of the untrained
policy. Its train_seconds are of training alone, neither compilation nor evaluation; compile_seconds are all so far, and
wall_seconds those since the process began.
"""

import contextlib
import dataclasses
import functools
import importlib
import importlib.metadata
import pathlib
import time
import types
import warnings
from typing import Annotated, Any, Literal
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import tyro

from awr_mjx.envs import registry
from awr_mjx.envs.advance import advance, infinities, select, strong
from awr_mjx.envs.base import Env
from awr_mjx.envs.checks import RESETS, check_task
from awr_mjx.envs.packages import install
from awr_mjx.train.benchmarks.brax_settings import hyper_parameters, schedule
from awr_mjx.train.console import cli, files
from awr_mjx.train.console.errors import UserError, run_program
from awr_mjx.train.engine import jax_setup
from awr_mjx.train.engine.evaluation import Evaluator, exact_evaluator
from awr_mjx.train.engine.metrics_log import MetricsLog
from awr_mjx.train.engine.streams import stream

EPOCHS = 1_000_000  # more than any run has time for: the clock ends it
EPOCH_UPDATES = 128  # gradient steps between two looks at the clock, at least: the looks then cost next to nothing
COMPILE_EVENTS = "/jax/core/compile/"  # tracing, lowering, XLA


@dataclasses.dataclass(frozen=True)
class BraxConfig:
    """What to train, and for how long."""

    run_dir: pathlib.Path
    """Folder to make for config.json and metrics.jsonl."""
    algorithm: Literal["ppo", "sac"] = "ppo"
    """Brax's trainer."""
    env: str = "ant"
    """Our task; its actions must be continuous."""
    task: Annotated[registry.TaskOptions, tyro.conf.arg(name="env")] = dataclasses.field(
        default_factory=registry.TaskOptions
    )
    """Options of the task."""
    like: str | None = None
    """Task whose published settings to use instead of its own; `suite` for those of MuJoCo Playground."""
    minutes: float = 20.0
    """Minutes of training, without compilation and evaluations."""
    seed: int = 0
    """Everything random in a run follows from this."""
    eval_envs: int = 64
    """Whole episodes per evaluation."""
    eval_physics: Literal["exact", "fast"] = "exact"
    """Evaluate in Gymnasium's own physics where the task is a fast approximation of it, or in that."""
    eval_seconds: float = 30.0
    """Seconds of training between two evaluations."""
    devices: int = 0
    """Devices that share the environments evenly; 0: as many as training would take. On CPUs each core is one."""


class BraxTask:
    """Our task `inner` as a `brax.envs.Env`; Brax's wrappers add batches, the time limit and resets.

    A step that gives a number that is not finite, or an explosion, ends the episode where it was, with reward 0: one
    such number would spoil Brax's normaliser for good.
    """

    def __init__(self, inner: Env) -> None:
        self.inner, self.observation_size, self.action_size = inner, inner.observation_size, inner.action_size
        self.unwrapped, self.backend = self, "mjx"  # as Brax calls the physics
        self._state = _brax("brax.envs").State
        self._meant = jax.jit(lambda: infinities(jax.vmap(inner.reset)(jax.random.split(jax.random.key(0), RESETS))))()

    def reset(self, rng: jax.Array) -> Any:
        """Returns Brax's state of a fresh episode for a raw key `rng` uint32 [2]; our state is `pipeline_state`."""
        state = strong(self.inner.reset(jax.random.wrap_key_data(rng)))
        return self._state(pipeline_state=state, obs=state.obs, reward=state.reward, done=state.done)

    def step(self, state: Any, action: jax.Array) -> Any:
        """Returns Brax's state one control step later; `action` float32 [A]. What wrappers keep in `info` stays."""
        before = jax.tree.map(lambda x: x[None], state.pipeline_state)
        moved = advance(self.inner, before, action[None], jnp.zeros(1, jnp.int32), self._meant, training=True)
        kept = jax.tree.map(lambda x: x[0], select(moved.sound, moved.state, before))
        done = (moved.terminated | ~moved.sound).astype(jnp.float32)[0]
        return state.replace(pipeline_state=kept, obs=kept.obs, reward=moved.reward[0], done=done)


class CompileClock:
    """Tells training from compilation and from all else.

    Attributes:
      train_seconds: between `resume` and `pause`, without compilation.
    """

    def __init__(self) -> None:
        self.train_seconds = 0.0
        self._spans: list[tuple[float, float]] = []
        self._resumed: tuple[float, float] | None = None

    def listen(self, event: str, start_time: float, end_time: float, **_: Any) -> None:
        """Takes note of what JAX did between two times (s), if it belongs to compilation."""
        if event.startswith(COMPILE_EVENTS):
            # What is compiled while something is traced has been told of already, and must not count twice.
            self._spans = [span for span in self._spans if span[0] < start_time]
            self._spans.append((start_time, end_time))

    @property
    def compile_seconds(self) -> float:
        """Seconds of compilation so far: tracing, lowering and XLA."""
        return sum(end - start for start, end in self._spans)

    def resume(self) -> None:
        """Training goes on."""
        self._resumed = time.monotonic(), self.compile_seconds

    def pause(self) -> None:
        """Training waits; nothing of it may still be at work on the device."""
        if self._resumed:
            begun, compiled = self._resumed
            self.train_seconds += time.monotonic() - begun - (self.compile_seconds - compiled)
            self._resumed = None


class _Handover:
    """Stands where Brax's evaluator was: plays nothing, and hands the policy to the trainer's `progress_fn`."""

    def __init__(self, eval_env: Any, eval_policy_fn: Any, **_: Any) -> None:
        self._policy = eval_policy_fn

    def run_evaluation(self, policy_params: Any, training_metrics: Any) -> dict[str, Any]:
        return {"policy": self._policy, "params": policy_params}


class _Enough(Exception):
    """Training has had its minutes."""


class Curve:
    """Evaluates the policies that Brax hands over whenever it is time, and ends the training."""

    def __init__(self, config: BraxConfig, env: Env, hyper: dict[str, Any]) -> None:
        self.config, self.env, self.schedule = config, env, schedule(hyper)
        self.clock, self.log = CompileClock(), MetricsLog(config.run_dir, None)
        self._next_evaluation = 0.0
        self._evaluate: Any = None
        self._exact: Any = None

    def progress(self, env_steps: int, handed: dict[str, Any]) -> None:
        """Brax's `progress_fn`, called before training and after every epoch; raises `_Enough` when time is over."""
        jax.block_until_ready(handed["params"])
        self.clock.pause()
        seconds, every = self.clock.train_seconds, self.config.eval_seconds
        over = seconds >= 60 * self.config.minutes
        if over or seconds >= self._next_evaluation:
            self._write(env_steps, handed["policy"], handed["params"])
            self._next_evaluation = (seconds // every + 1) * every
        if over:
            raise _Enough
        self.clock.resume()

    def _write(self, env_steps: int, make_policy: Any, params: Any) -> None:
        def policy(params: Any, stats: None, obs: jax.Array) -> Any:
            """As much of `Learner.policy` as the evaluator asks for; Brax's is deterministic here."""
            return types.SimpleNamespace(mode=lambda: make_policy(params)(obs, None)[0])

        if not self._evaluate:
            learner: Any = types.SimpleNamespace(policy=policy)
            self._evaluate = Evaluator(self.env, learner, self.config.eval_envs)
            if self.config.eval_physics == "exact":
                self._exact = exact_evaluator(self.env, learner, self.config.eval_envs)
        key, no_stats = stream(self.config.seed, "evaluation"), None
        # Without weak types, as after an epoch: else the evaluation would be compiled for the untrained policy alone.
        seen, fast = self._evaluate(strong(params), no_stats, key), {}
        if self._exact:
            fast = {"mode_return_fast": float(seen.returns.mean())}
            seen = self._exact(strong(params), no_stats, key)
        returns, lengths = seen.returns, seen.lengths
        prefill, step, updates = self.schedule
        values = {
            "gradient_steps": max(0, env_steps - prefill) // step * updates,
            "train_seconds": self.clock.train_seconds,
            "compile_seconds": self.clock.compile_seconds,
            "wall_seconds": time.time() - psutil.Process().create_time(),
            "mode_return": float(returns.mean()),
            "mode_return_std": float(returns.std()),
            "mode_steps": float(lengths.mean()),
            "mode_whole": seen.whole(self.env.episode_length),
            **fast,
        }
        self.log.write(env_steps, values)
        line = {"env_steps": env_steps, **values}
        print(", ".join(f"{name} {round(value, 1):,}" for name, value in line.items()), flush=True)


def _brax(module: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is unmaintained is known
            return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f"this needs Brax: {install('brax')} ({error})") from error


def _replicated(tree: Any, devices: list[jax.Device]) -> Any:
    """What `jax.device_put_replicated` gave before it was removed: leaves [D, ...], a copy on each of D devices."""
    mesh = jax.sharding.Mesh(np.array(devices), ("i",))  # as Brax calls it, or the second epoch would compile again
    place = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("i"))
    return jax.tree.map(lambda x: jax.device_put(jnp.stack([x] * len(devices)), place), tree)


def train(config: BraxConfig, env: Env, hyper: dict[str, Any]) -> None:
    """Runs Brax's trainer with `hyper`-parameters on `env` and writes metrics.jsonl into `config.run_dir`."""
    agent = f"brax.training.agents.{config.algorithm}"
    trainer, acting, wrappers = map(_brax, (f"{agent}.train", "brax.training.acting", "brax.envs.wrappers.training"))
    prefill, step, updates = schedule(hyper)
    epoch = -(-EPOCH_UPDATES // updates) * step
    arguments = {name: value for name, value in hyper.items() if name != "source"}
    if arguments.pop("q_network_layer_norm", False):
        factory = _brax(f"{agent}.networks").make_sac_networks
        arguments["network_factory"] = functools.partial(factory, q_network_layer_norm=True)
    curve = Curve(config, env, hyper)
    jax.monitoring.register_event_time_span_listener(curve.clock.listen)
    try:
        with (
            contextlib.suppress(_Enough),
            mock.patch.object(jax, "device_put_replicated", _replicated, create=True),
            mock.patch.object(acting, "Evaluator", _Handover),
        ):
            trainer.train(
                BraxTask(env),
                episode_length=env.episode_length,
                wrap_env_fn=wrappers.wrap,
                seed=config.seed,
                deterministic_eval=True,
                max_devices_per_host=config.devices,
                progress_fn=curve.progress,
                num_timesteps=prefill + EPOCHS * epoch,
                num_evals=EPOCHS + 1,
                **arguments,
            )
    finally:
        jax.monitoring.unregister_event_time_span_listener(curve.clock.listen)
        curve.log.close()


def main() -> int:
    """Trains; see the module's docstring."""
    prog = "python -m awr_mjx.train.benchmarks.brax_trainers"
    config = cli.parse(BraxConfig, cli.arguments(), prog=prog, description=(__doc__ or "").splitlines()[0])
    for name in ("minutes", "eval_envs", "eval_seconds"):
        if not 0 < getattr(config, name) < float("inf"):
            raise UserError(f"{name} must be a positive number, not {getattr(config, name)}")
    if not 0 <= config.seed < 2**31:
        raise UserError(f"seed must be from 0 to {2**31 - 1}, not {config.seed}")
    cpu_devices = config.devices if config.devices > 0 else jax_setup.cores()
    jax_setup.start_jax(registry.calls_lapack(config.env, config.task), cpu_devices, reserve=True)
    _brax("brax.envs")
    env = registry.make(config.env, config.task)
    if env.discrete:
        raise UserError(f"Brax's policies are continuous, and {config.env} has discrete actions: choose another --env")
    check_task(env)
    hyper = hyper_parameters(config.algorithm, config.env, config.like)
    even = [n for n in range(1, jax.device_count() + 1) if hyper["num_envs"] % n == 0]
    if config.devices and config.devices not in even:
        raise UserError(f"devices can be {', '.join(map(str, even))} here, not {config.devices}")
    fitting = jax_setup.fitting_devices(hyper["num_envs"], hyper["batch_size"], jax.device_count())
    config = dataclasses.replace(config, devices=config.devices or fitting)
    try:
        config.run_dir.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"cannot make the run folder {config.run_dir}: {error.strerror}") from error
    settings = {name: value for name, value in dataclasses.asdict(config).items() if name != "run_dir"}
    about = {"brax": importlib.metadata.version("brax"), "device": jax.devices()[0].device_kind}
    files.write_json(config.run_dir / "config.json", {"settings": settings | hyper, "about": about})
    print(f"{config.algorithm} on {config.env}, {config.devices} devices; settings: {hyper['source']}", flush=True)
    train(config, env, hyper)
    files.write_json(config.run_dir / "summary.json", {"finished": True})
    return 0


if __name__ == "__main__":
    run_program(main)
