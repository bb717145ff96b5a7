"""Where others' data lie, for tests that hold ours against them and skip where there are none."""

import pathlib

REFERENCE = pathlib.Path(__file__).parents[2] / "shared" / "reference"
