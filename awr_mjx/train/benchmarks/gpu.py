"""What an accelerator does with all this, in a few minutes: one JSON and one table that anybody can send.

python -m train.benchmark gpu --out gpu.json
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any

from rich.console import Console
from rich.table import Table

from awr_mjx.envs import registry
from awr_mjx.train.benchmarks import campaign
from awr_mjx.train.console import cli, files
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import UserError, warn
from awr_mjx.train.engine import restoring, surroundings

# Ways to have the launches of many small kernels replayed as one graph (XLA's command buffers).
FLAGS = {
    "as they come": "",
    "command buffers": "--xla_gpu_graph_min_graph_size=1",
    "command buffers, loops too": (
        "--xla_gpu_graph_min_graph_size=1 "
        "--xla_gpu_enable_command_buffer=FUSION,CUBLAS,CUBLASLT,CUSTOM_CALL,CUDNN,DYNAMIC_SLICE_FUSION,CONDITIONAL,WHILE"
    ),
}
EXACT_ITERATIONS = 6  # of the runs that are compared


@dataclasses.dataclass(frozen=True)
class GpuBenchmark:
    """What to measure."""

    env: str = "ant"
    """Task that is trained."""
    physics: tuple[str, ...] = ("ant", "humanoid", "hopper", "lunar_lander")
    """Tasks whose physics is timed."""
    num_envs: tuple[int, ...] = (256, 4096, 16384)
    """Numbers of environments; training has the second, or the only one."""
    train_minutes: float = 1.0
    """Minutes of the training."""
    minutes: float = 8.0
    """Minutes for everything; what does not fit is left out, and said to be."""
    out: pathlib.Path = pathlib.Path("gpu.json")
    """JSON file to write."""


@dataclasses.dataclass
class Measuring:
    """Programs that are run one after the other until the time is up, each in a process of its own."""

    folder: pathlib.Path
    end: float
    left_out: list[str] = dataclasses.field(default_factory=list)

    def run(self, what: str, args: list[object], flags: str = "", module: str = "awr_mjx.train.benchmark") -> bool:
        """Whether the program `module` has ended well with `args`; else `what` is left out, with its last words."""
        left = self.end - time.monotonic()
        if left < 1:
            self.left_out.append(f"{what}: no time left")
            return False
        print(f"{what} ...", flush=True)
        env = surroundings.of_programs()
        env["XLA_FLAGS"] = f"{env.get('XLA_FLAGS', '')} {flags}".strip()
        command = [sys.executable, "-P", "-m", module, *map(str, args)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=left, check=False, env=env)
        except subprocess.TimeoutExpired:
            self.left_out.append(f"{what}: no time left")
            return False
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["it said nothing"]
            self.left_out.append(f"{what}: {words[-1]}")
        return not done.returncode

    def measured(self, what: str, args: list[object], flags: str = "") -> list[dict[str, Any]]:
        """The results of a benchmark that writes them as JSON, as far as it came."""
        out = self.folder / f"{len(list(self.folder.iterdir()))}.json"
        self.run(what, [*args, "--out", out], flags)
        found = files.read_object(out).get("results", []) if out.exists() else []
        return found if isinstance(found, list) else []


def trained(measuring: Measuring, config: GpuBenchmark, envs: int) -> list[campaign.Point]:
    """The evaluations of a training, with its speed."""
    run = measuring.folder / "run"
    args = ["--env", config.env, "--num_envs", envs, "--minutes", config.train_minutes]
    measuring.run(f"training {config.env}", [*args, "--num_evals", 8, "--run_dir", run], module=campaign.MAIN)
    return campaign.curve(run)


def resumed_exactly(measuring: Measuring, config: GpuBenchmark, envs: int, flags: str = "") -> list[str] | None:
    """The arrays in which a run that was stopped and resumed is another than one that was not; None if not known."""
    runs = [measuring.folder / f"{'exact' if flags else 'plain'}-{name}" for name in ("whole", "half", "again")]
    settings = ["--env", config.env, "--num_envs", envs, "--num_evals", 1, "--eval_envs", 2, "--eval_physics", "fast"]

    def train(what: str, run: pathlib.Path, share: float) -> bool:
        steps = max(round(EXACT_ITERATIONS * share), 1)
        per_iteration = campaign.settings_of(list(map(str, settings))).epoch_steps
        args = ["--resume", run] if run.exists() else [*settings, "--run_dir", run]
        return measuring.run(what, [*args, "--num_steps", steps * per_iteration], flags, campaign.MAIN)

    name = "deterministic" if flags else "exact"
    whole, half, again = runs
    if not (train(f"{name}: whole", whole, 1) and train(f"{name}: half", half, 0.5)):
        return None
    if not (train(f"{name}: resumed", half, 1) and train(f"{name}: whole again", again, 1)):
        return None
    resumed, repeated = differing(whole, half), differing(whole, again)
    return [*resumed, *(f"{leaf} (without a stop too)" for leaf in repeated if leaf in resumed)]


def differing(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """The arrays in which the newest checkpoints of two runs differ, by their checksums."""
    checksums = []
    for run in (one, other):
        newest = restoring.steps(run)[-1]
        meta = json.loads((run / "checkpoints" / str(newest) / "meta" / "metadata").read_text())
        checksums.append({name: leaf[2] for name, leaf in meta["leaves"].items()})
    return sorted(name for name, value in checksums[0].items() if checksums[1].get(name) != value)


def table(found: dict[str, Any]) -> Table:
    """A line for each figure."""
    made = Table("what", "figure", title=f"{found['device']}, jax {found['jax']}")
    for one in found["physics"]:
        rate = one["steps_per_second"]["ours"]
        step = 1e3 * one["num_envs"] / rate
        made.add_row(f"physics of {one['env']}, {one['num_envs']:,}", f"{rate:,.0f} env steps/s, {step:.2f} ms a step")
    for flags, rows in found["loop"].items():
        for one in rows:
            phases = ", ".join(f"{name} {1e3 * seconds:.1f}" for name, seconds in one["phase_seconds"].items())
            rate = f"{one['train_steps_per_second']:,.0f} env steps/s ({one['ratio']:.0%} of physics); ms: {phases}"
            made.add_row(f"training, {one['num_envs']:,}, {flags}", rate)
    for point in found["curve"]:
        made.add_row(f"mode return after {point['train_seconds']:.1f} s", f"{point['mode_return']:,.0f}")
    for name, leaves in found["resume"].items():
        said = "not known" if leaves is None else f"{len(leaves)} arrays differ" if leaves else "the same, bit for bit"
        made.add_row(f"a resumed run, {name}", said)
    for line in found["left_out"]:
        made.add_row("left out", line)
    return made


def main(args: list[str]) -> int:
    """Measures and prints; writes JSON."""
    prog = f"{program('benchmark')} gpu"
    config = cli.parse(GpuBenchmark, args, prog=prog, description=(__doc__ or "").strip())
    files.check_writable(config.out, "name another file with --out")
    if not config.num_envs or min(config.num_envs) < 1 or not 0 < config.minutes or not 0 < config.train_minutes:
        raise UserError("num_envs, minutes and train_minutes must be positive numbers")
    for name in (config.env, *config.physics):
        registry.find(name)
    if not (device := surroundings.first_device()):
        raise UserError("JAX does not start here: see docs/troubles.md")
    some = config.num_envs[min(1, len(config.num_envs) - 1)]
    if device["platform"] == "cpu":
        warn(["JAX finds no accelerator here: these will be figures of the CPU"])
    with files.ending_softly(), tempfile.TemporaryDirectory() as place:  # what it has started ends with it
        measuring = Measuring(pathlib.Path(place), time.monotonic() + 60 * config.minutes)
        found: dict[str, Any] = campaign.about() | device
        found["curve"] = trained(measuring, config, some)
        found["resume"] = {"as it is": resumed_exactly(measuring, config, config.num_envs[0])}
        found["loop"] = {}
        for name, flags in FLAGS.items() if found["platform"] == "gpu" else [("as they come", "")]:
            sizes = config.num_envs if not flags else config.num_envs[:2]
            loop = ["loop", "--env", config.env, "--num_envs", *sizes, "--repeats", 3]
            found["loop"][name] = measuring.measured(f"phases of training, {name}", loop, flags)
        counts = ",".join(map(str, config.num_envs))
        physics = ["physics", "--env", ",".join(config.physics), "--num_envs", counts, "--repeats", 3]
        found["physics"] = measuring.measured("physics", physics)
        if found["platform"] == "gpu":
            flags = "--xla_gpu_deterministic_ops=true"
            found["resume"]["deterministic"] = resumed_exactly(measuring, config, config.num_envs[0], flags)
        found["left_out"] = measuring.left_out
    files.write_json(config.out, found)
    Console(width=150).print(table(found))
    print(f"written to {config.out}")
    return 0
