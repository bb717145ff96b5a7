"""How fast is it, and how good: `python -m train.benchmark KIND`; without a kind it lists them, each has its `--help`.

Everything that is compared is measured in one process, in turns, so that ratios hold on a machine whose speed drifts.
"""

from train.benchmarks import ablations, loop, peers, physics, static, train
from train.console import cli
from train.console.commands import program
from train.console.errors import UserError, run_program

KINDS = {"train": train, "peers": peers, "ablations": ablations, "static": static, "loop": loop, "physics": physics}


def main() -> int:
    """Runs the benchmark that the first argument names."""
    kind, *args = cli.arguments() or ["--help"]
    if kind in ("-h", "--help"):
        for name, module in KINDS.items():
            print(f"{program('benchmark')} {name}: {(module.__doc__ or '').splitlines()[0]}")
        return 0
    if kind not in KINDS:
        raise UserError(f"unknown benchmark {kind!r}: choose one of {', '.join(KINDS)}")
    return KINDS[kind].main(args)


if __name__ == "__main__":
    run_program(main)
