"""Does a run of an older commit go on as there? `python -m tests.old_run`, or `python -m tests.old_run COMMIT`.

The old commit trains half of a small run. It trains one copy to the end, and the code here another; the last
checkpoints of both must have the same leaves, bit for bit. Leaves that only one of the two has are named.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from awr_mjx.train.engine import checkpoint_format, restoring
from tests.runs import SMALL, copied

OLD = "b7c6ed1"
ROOT = pathlib.Path(__file__).parents[1]
HALF = 40 * 16 * 8
RUNS = {
    "cartpole with its ring, one device": ["--devices", "1"],
    "inverted_pendulum, two devices": ["--env", "inverted_pendulum", "--devices", "2", "--epoch_iterations", "5"],
}


def train(code: pathlib.Path, *args: object) -> None:
    """`train.main` of the code in folder `code`."""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {"PYTHONPATH": str(code)}
    command = [sys.executable, "-m", "train.main", *map(str, args)]
    done = subprocess.run(command, cwd=code, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{code}: {' '.join(command)}\n{done.stderr}")


def leaves(run: pathlib.Path) -> dict[str, list[object]]:
    """dtype, shape and checksum of every leaf of the newest checkpoint."""
    newest = checkpoint_format.folder(run) / str(restoring.steps(run)[-1])
    (meta,) = (newest / "meta").glob("metadata")
    return dict(json.loads(meta.read_text())["leaves"])


def compare(old: dict[str, list[object]], new: dict[str, list[object]]) -> tuple[bool, str]:
    """Whether what both have is the same, and a line that says so."""
    both = old.keys() & new.keys()
    unlike = sorted(name for name in both if old[name] != new[name])
    words = f"{len(both) - len(unlike)} of {len(both)} leaves are the same, bit for bit"
    for title, names in (
        ("other", unlike),
        ("new", sorted(new.keys() - old.keys())),
        ("gone", sorted(old.keys() - new.keys())),
    ):
        words += f"; {title}: {', '.join(names)}" if names else ""
    return not unlike and bool(both), words


def main() -> int:
    """Prints a line for each run."""
    commit, status = (sys.argv[1:] or [OLD])[0], 0
    with tempfile.TemporaryDirectory() as place:
        old = pathlib.Path(place) / "old"
        old.mkdir()
        archive = subprocess.run(["git", "-C", ROOT, "archive", commit], capture_output=True, check=True)
        subprocess.run(["tar", "-x", "-C", old], input=archive.stdout, check=True)
        for i, (name, args) in enumerate(RUNS.items()):
            run = pathlib.Path(place) / f"run-{i}"
            train(old, *SMALL, *args, "--num_steps", HALF, "--run_dir", run)
            there, here = copied(run, run.with_name(f"there-{i}")), copied(run, run.with_name(f"here-{i}"))
            train(old, "--resume", there, "--num_steps", 2 * HALF)
            train(ROOT, "--resume", here, "--num_steps", 2 * HALF)
            if restoring.steps(there)[-1] != restoring.steps(here)[-1]:
                sys.exit(f"{name}: the newest checkpoints are {restoring.steps(there)} and {restoring.steps(here)}")
            same, words = compare(leaves(there), leaves(here))
            print(f"{commit}, {name}, {restoring.steps(here)[-1]:,} env steps: {words}", flush=True)
            status |= not same
    return status


if __name__ == "__main__":
    sys.exit(main())
