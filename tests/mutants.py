"""Do the tests see faults: `python -m tests.mutants` puts each fault of `mutants.toml` into a copy of the code.

Prints a line for each, "killed by TEST" or "SURVIVED"; the exit status is 1 if one survived or could not be tried.
Names given on the command line choose among them.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).parent.parent
TABLE = pathlib.Path(__file__).with_suffix(".toml")
COPIED = ("awr_mjx", "train", "tests", "docs/examples", "docs/studies")


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A fault: in `file`, `old` becomes `new`; `tests` (files, or FILE::TEST) are to see it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problem(self, root: pathlib.Path) -> str | None:
        """What is wrong with the entry itself, in one line; None if it can be tried."""
        for test in self.tests:
            path, _, function = test.partition("::")
            if not (root / path).is_file():
                return f"there is no {path}"
            if function and f"def {function}(" not in (root / path).read_text():
                return f"{path} has no {function}"
        if not self.tests:
            return "it names no tests"
        found = (root / self.file).read_text().count(self.old) if (root / self.file).is_file() else 0
        return None if found == 1 else f"its old text occurs {found} times in {self.file}, not once"


def table() -> list[Mutant]:
    """All entries of `mutants.toml`."""
    entries = tomllib.loads(TABLE.read_text())["mutant"]
    return [Mutant(**entry | {"tests": tuple(entry["tests"])}) for entry in entries]


def copy(to: pathlib.Path) -> None:
    """Copies what tests need; the working tree is never changed."""
    for name in COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", to)


def run(root: pathlib.Path, tests: list[str]) -> tuple[int, str]:
    """Pytest's exit status and output on `tests` of the copy in `root`, up to the first one that fails."""
    env = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def verdict(mutant: Mutant, root: pathlib.Path) -> str:
    """What became of a mutant, in one line; the copy in `root` is left as it was."""
    file = root / mutant.file
    original = file.read_text()
    try:
        file.write_text(original.replace(mutant.old, mutant.new))
        status, output = run(root, list(mutant.tests))
    finally:
        file.write_text(original)
    if status == 0:
        return "SURVIVED"
    failed = re.search(r"^FAILED (\S+)", output, re.MULTILINE)
    # Code that cannot even be imported proves nothing.
    return f"killed by {failed[1]}" if status == 1 and failed else f"BROKEN: {output.strip().splitlines()[-1]}"


def main(names: list[str]) -> int:
    """Tries the mutants of those names, or all; see the module's docstring."""
    every = table()
    unknown = set(names) - {mutant.name for mutant in every}
    if unknown:
        print(f"error: no mutant is called {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    chosen = [mutant for mutant in every if not names or mutant.name in names]
    problems = [f"{mutant.name}: {problem}" for mutant in chosen if (problem := mutant.problem(ROOT))]
    if problems:
        print("\n".join(problems))
        return 1
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        copy(root)
        status, output = run(root, sorted({test for mutant in chosen for test in mutant.tests}))
        if status:
            print(output + "the tests fail without any mutant")
            return 1
        killed = 0
        for mutant in chosen:
            found = verdict(mutant, root)
            killed += found.startswith("killed")
            print(f"{mutant.name}: {found}", flush=True)
    print(f"{killed} of {len(chosen)} killed")
    return 0 if killed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
