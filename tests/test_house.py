"""The rules of the house: which way imports point, that shapes are written down, that files stay short and safe."""

import ast
import itertools
import pathlib
import re
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parent.parent
CODE = ROOT / "awr_mjx"
PACKAGES = ("algorithm", "envs", "train")
FILES = sorted(CODE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST = 300
CLIPS = "awr_mjx/envs/imitation/readers.py"
ARRAY = re.compile(r"\b(Array|Float|Int|Bool|Num|Shaped)\b")
SHAPE = re.compile(r"\[[^\]]*\]")

# The rooms by floor: a room knows those below it, and of its own floor only itself. A file at the top of `train` is a
# program of its own; `envs/base.py` and the like are rooms of one file.
FLOORS = {
    "train": ({"console"}, {"datasets"}, {"engine"}, {"policies", "pictures"}, {"benchmarks"}, {"programs"}),
    "envs": (
        {"base", "drawing", "graphics", "packages", "tables"},
        {"absent", "advance", "own_tasks"},
        {"vector", "checks", "physics", "box2d"},
        {"gym", "adapters", "imitation"},
        {"registry"},
    ),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def every_file(*packages: str) -> pytest.MarkDecorator:
    chosen = [path for path in FILES if path.relative_to(CODE).parts[0] in packages]
    return pytest.mark.parametrize("path", chosen, ids=name_of)


def parse(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(tree: ast.AST) -> set[str]:
    """Packages that a module imports anywhere, inside of functions too; of ours `awr_mjx.PACKAGE`."""
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree)), "relative import"
    return {".".join(name.split(".")[: 2 if name.startswith("awr_mjx.") else 1]) for name in modules(tree)}


def modules(tree: ast.AST) -> set[str]:
    """Full names of what a module imports anywhere, `from a import b` as both a and a.b."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(parts: tuple[str, ...]) -> str | None:
    """The room of `awr_mjx.PACKAGE.ROOM...`, without `awr_mjx`; None for a package itself."""
    if len(parts) < 2:
        return None
    rooms = set().union(*FLOORS[parts[0]])
    return parts[1] if parts[1] in rooms else "programs" if parts[0] == "train" else None


def public_functions(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, Function]]:
    """Functions of a module, and methods of its classes, whose names do not begin with an underscore."""
    for node in body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{prefix}{node.name}.")


def public_classes(body: list[ast.stmt]) -> Iterator[ast.ClassDef]:
    return (node for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_"))


def takes_or_gives_arrays(function: Function) -> bool:
    """By its annotations; a random key is no array."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs, function.args.vararg]
    hints = [a.annotation for a in [*every, function.args.kwarg] if a and a.annotation and not a.arg.startswith("key")]
    return any(ARRAY.search(ast.unparse(hint)) for hint in [*hints, function.returns] if hint)


def test_the_walk_finds_the_packages() -> None:
    found = {name_of(path) for path in FILES}
    assert {"awr_mjx/algorithm/returns.py", "awr_mjx/envs/vector.py", "awr_mjx/train/engine/loop.py"} <= found
    functions = dict(public_functions(parse(CODE / "algorithm" / "learner.py").body))
    assert {"next_step", "Learner.init", "Learner.update"} <= set(functions)
    assert takes_or_gives_arrays(functions["Learner.update"])
    assert not takes_or_gives_arrays(functions["Learner.init"])


@every_file("algorithm")
def test_the_algorithm_knows_no_environment_and_no_program(path: pathlib.Path) -> None:
    assert not imported(parse(path)) & {
        "awr_mjx.envs",
        "awr_mjx.train",
        "tests",
        "mujoco",
        "gymnasium",
        "tyro",
        "orbax",
    }


@every_file("envs")
def test_tasks_know_no_algorithm(path: pathlib.Path) -> None:
    assert not imported(parse(path)) & {"awr_mjx.algorithm", "awr_mjx.train", "tests", "optax", "tyro", "orbax"}


@every_file("train")
def test_programs_do_not_import_tests(path: pathlib.Path) -> None:
    assert "tests" not in imported(parse(path))


@every_file("envs", "train")
def test_rooms_know_only_those_below(path: pathlib.Path) -> None:
    parts = path.relative_to(CODE).with_suffix("").parts
    if parts[1] == "__init__":
        return
    here = room(parts)
    assert here, f"{path} is in no room: name it in FLOORS"
    floor = {name: i for i, names in enumerate(FLOORS[parts[0]]) for name in names}
    for name in modules(parse(path)):
        _, *place = name.split(".")
        there = room(tuple(place)) if name.startswith(f"awr_mjx.{parts[0]}.") else None
        if (there and there != here) or there == "programs":
            assert floor[there] < floor[here], f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES + TESTS, ids=name_of)
def test_the_short_name_of_the_programs_is_for_typing_alone(path: pathlib.Path) -> None:
    """`train.engine.loop` would be another module than `awr_mjx.train.engine.loop`, with another registry of tasks."""
    assert not imported(parse(path)) & {"train", "envs"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_has_a_docstring(path: pathlib.Path) -> None:
    tree = parse(path)
    if not tree.body:
        assert path.name == "__init__.py"
        return
    silent = [name for name, function in public_functions(tree.body) if not ast.get_docstring(function)]
    silent += [node.name for node in public_classes(tree.body) if not ast.get_docstring(node)]
    assert not silent
    assert ast.get_docstring(tree)


@every_file("algorithm", "envs")
def test_shapes_are_written_down(path: pathlib.Path) -> None:
    """A public function of arrays says in its docstring what shapes they have, such as [T, N, O] or []."""
    bare = [
        name
        for name, function in public_functions(parse(path).body)
        if takes_or_gives_arrays(function) and not SHAPE.search(ast.get_docstring(function) or "")
    ]
    assert not bare


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_what_to_install_is_said_in_one_place(path: pathlib.Path) -> None:
    """The project is on no package index: `awr_mjx.envs.packages.install` says how its optional parts are added."""
    assert "awr_mjx[" not in path.read_text()


@pytest.mark.parametrize("path", FILES + TESTS, ids=name_of)
def test_files_are_short(path: pathlib.Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("path", FILES + TESTS, ids=name_of)
def test_nothing_is_ever_unpickled(path: pathlib.Path) -> None:
    """A file from elsewhere must not be able to run code."""
    tree = parse(path)
    found = imported(tree) & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    if name_of(path) == CLIPS:  # others' clips are pickles: an unpickler that chooses what it makes, and no function
        uses = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert {use for use in uses if use.startswith("pickle.")} == {"pickle.Unpickler"}
        (own,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.bases)
        assert ast.unparse(own.bases[0]) == "pickle.Unpickler"
        assert [method.name for method in own.body if isinstance(method, Function)] == ["find_class"]
        found -= {"pickle"}
    assert not found
    keywords = [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "allow_pickle"]
    assert all(isinstance(k.value, ast.Constant) and k.value.value is False for k in keywords)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_words_on_a_setting_are_one_line(path: pathlib.Path) -> None:
    """`--help` would break a second one off in the middle of a sentence."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ClassDef):
            for field, words in itertools.pairwise(node.body):
                if isinstance(field, ast.AnnAssign) and isinstance(words, ast.Expr):
                    assert "\n" not in ast.literal_eval(words.value), ast.unparse(field)
