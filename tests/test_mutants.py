"""The table of faults that tests must see is about the code as it is; `python -m tests.mutants` tries them."""

import pathlib

import pytest

from tests import mutants
from tests.mutants import Mutant


def test_every_mutant_can_be_tried() -> None:
    table = mutants.table()
    assert {mutant.name: mutant.problem(mutants.ROOT) for mutant in table if mutant.problem(mutants.ROOT)} == {}
    assert len({mutant.name for mutant in table}) == len(table) > 30


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    (tmp_path / "code_of.py").write_text("def two() -> int:\n    return 2\n")
    test = "from code_of import two\n\n\ndef test_two() -> None:\n    assert two() == 2\n"
    (tmp_path / "test_code.py").write_text(test)
    return tmp_path


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("return 3", "killed by test_code.py::test_two"),
        ("return 1 + 1", "SURVIVED"),
        ("return )", "BROKEN: "),
    ],
)
def test_a_mutant_is_killed_by_a_failing_test_alone(tree: pathlib.Path, new: str, expected: str) -> None:
    before = (tree / "code_of.py").read_text()
    assert mutants.verdict(Mutant("name", "code_of.py", "return 2", new, ("test_code.py",)), tree).startswith(expected)
    assert (tree / "code_of.py").read_text() == before


@pytest.mark.parametrize(
    ("old", "test", "problem"),
    [
        ("return 2", "test_code.py::test_two", None),
        ("return 3", "test_code.py", "its old text occurs 0 times in code_of.py, not once"),
        ("t", "test_code.py", "its old text occurs 3 times in code_of.py, not once"),
        ("return 2", "test_none.py", "there is no test_none.py"),
        ("return 2", "test_code.py::test_three", "test_code.py has no test_three"),
    ],
)
def test_an_entry_that_cannot_be_tried_is_named(tree: pathlib.Path, old: str, test: str, problem: str | None) -> None:
    assert Mutant("name", "code_of.py", old, "", (test,)).problem(tree) == problem
