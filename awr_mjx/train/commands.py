"""All programs under one name that works in any folder: `awr-mjx train --env ant`. Alone it lists them."""

import difflib
import importlib
import sys

from awr_mjx.train.console import cli
from awr_mjx.train.console.commands import COMMANDS, SCRIPT, module
from awr_mjx.train.console.errors import UserError, run_program


def main() -> int:
    """Runs the program that the first argument names with the other arguments.

    Raises:
      UserError: if there is no such program.
    """
    name, *args = cli.arguments() or ["--help"]
    if name in ("-h", "--help"):
        for known, (_, words) in COMMANDS.items():
            print(f"{SCRIPT} {known:<10} {words}")
        print(f"\n{SCRIPT} COMMAND --help shows the settings of one.")
        return 0
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"unknown command {name!r}: {hint}(known: {', '.join(COMMANDS)})")
    sys.argv[1:] = args
    status: int = importlib.import_module(module(name)).main()
    return status


def run() -> None:
    """The entry point of `awr-mjx`."""
    run_program(main)


if __name__ == "__main__":
    run()
