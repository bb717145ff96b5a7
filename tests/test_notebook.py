"""The notebook runs as it stands, from nothing to a film: `make test-slow`. What is kept of its last run is whole."""

import os
import pathlib

import nbformat
import pytest
from nbclient import NotebookClient

from tests.test_readme import ROOT

PAGE = ROOT / "docs" / "notebook.ipynb"


def outputs(book: nbformat.NotebookNode) -> str:
    """Everything that its cells have put out, one after the other."""
    found = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in found if output.output_type == "error"]
    return "\n".join([output.get("text", "") + str(output.get("data", "")) for output in found])


def shows_all(said: str) -> None:
    """A training, a curve, a policy that is good, a film, a file and a task of one's own were there."""
    for words in (
        "mode return 1000 ± 0",
        "image/png",
        "100% of the episodes whole",
        "data:image/gif;base64",
        "pendulum.npz",
    ):
        assert words in said, words
    assert "of 200 at most" in said and "stopped by its listener" in said


def test_what_is_kept_of_it_is_whole() -> None:
    book = nbformat.read(PAGE, 4)
    nbformat.validate(book)
    shows_all(outputs(book))
    assert PAGE.stat().st_size < 500_000


@pytest.mark.slow
def test_it_runs(tmp_path: pathlib.Path) -> None:
    book = nbformat.read(PAGE, 4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = NotebookClient(book, timeout=900, resources={"metadata": {"path": str(tmp_path)}})
    client.execute(env=os.environ | {"PYTHONPATH": str(ROOT)})
    shows_all(outputs(book))
    assert (tmp_path / "pendulum.gif").exists()
