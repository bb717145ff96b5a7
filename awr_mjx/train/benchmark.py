"""How fast is it, and how good: `python -m train.benchmark KIND`; without a kind it lists them, each has its `--help`.

Everything that is compared is measured in one process, in turns, so that ratios hold on a machine whose speed drifts.
"""

from awr_mjx.train.benchmarks import ablations, gpu, imitation, loop, peers, physics, static, sweep, train
from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import program
from awr_mjx.train.console.errors import run_program

KINDS = {
    "train": train,
    "peers": peers,
    "ablations": ablations,
    "sweep": sweep,
    "static": static,
    "imitation": imitation,
    "loop": loop,
    "physics": physics,
    "gpu": gpu,
}


def main() -> int:
    """Runs the benchmark that the first argument names."""
    words = {name: (module.__doc__ or "").splitlines()[0] for name, module in KINDS.items()}
    chosen = cli.choose(words, program("benchmark"), "benchmark")
    return KINDS[chosen[0]].main(chosen[1]) if chosen else 0


if __name__ == "__main__":
    run_program(main)
