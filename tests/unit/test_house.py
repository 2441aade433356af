"""The house rules that no linter holds: sizes, names, words that must not stand anywhere."""

import ast
import re
import subprocess
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import tollway
import tollway_schemas
import tollway_workers

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("schemas", "producers", "workers")

_MODULE_LINES, _TEST_LINES, _FUNCTION_LINES = 500, 500, 50
_PUBLIC_NAMES = {tollway_schemas: 40, tollway: 15, tollway_workers: 12}
_VAGUE = ("Manager", "Handler", "Processor", "Helper", "Util", "Service", "Base", "Abstract")
_VAGUE_ENDS = ("Usecase", "Impl")
#: Written apart, so that this file does not contain them.
_UNFINISHED = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error")


def tracked() -> list[Path]:
    """Every file of the tree, those that git does not know yet included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 git of the PATH
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


FILES = tracked()
MODULES = [path for path in FILES if path.suffix == ".py"]
PRODUCT = [path for path in MODULES if path.relative_to(ROOT).parts[0] in ROOMS]
PACKAGES = [path for path in PRODUCT if "examples" not in path.parts]
TESTS = [path for path in MODULES if path.relative_to(ROOT).parts[0] == "tests"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(parsed(path)))


#: Decisions: what they need to know is an argument, the time too. `job/ports.py` holds seams.
_PURE = (
    *("config/shape", "config/say", "job", "limits", "lanes", "forwarding", "ownership", "topics"),
    *("health", "operators", "pipeline/checks", "pipeline/decide.py", "pipeline/decode.py"),
    *("cache/key.py", "cache/entry.py", "cache/recent.py", "cache/forgotten.py"),
    *(f"cache/semantic/{name}.py" for name in ("agreement", "bounds", "guards", "merged")),
    *(
        f"cache/semantic/guard_{name}.py"
        for name in ("changes", "numbers", "questions", "text", "typing")
    ),
    *(f"cache/semantic/{name}.py" for name in ("observing", "prior", "report", "rule")),
    *("budgets/standings.py", "cli/cost/lines.py", "cli/cost/page.py", "local/simulator/bill.py"),
    *(f"cli/budgets/{name}.py" for name in ("closing", "page", "spenders", "view")),
)
_SEAMS = ("job/ports.py",)
#: Modules that know the time, wait, or reach the world.
_WORLD = {
    "asyncio",
    "os",
    "random",
    "select",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "time",
}


def test_the_tree_was_found() -> None:
    assert len(PACKAGES) > 50
    assert len(TESTS) > 10


def test_no_module_is_longer_than_it_may_be() -> None:
    most = {path: _TEST_LINES if path in TESTS else _MODULE_LINES for path in MODULES}
    lines = {path: len(path.read_text().splitlines()) for path in MODULES}

    assert {name_of(path): n for path, n in lines.items() if n > most[path]} == {}


def test_no_function_is_longer_than_it_may_be() -> None:
    long = [
        f"{name_of(path)}:{node.name}"
        for path in MODULES
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > _FUNCTION_LINES
    ]

    assert long == []


def test_no_class_has_a_name_that_says_nothing() -> None:
    vague = [
        f"{name_of(path)}:{node.name}"
        for path in PACKAGES
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
        and (
            node.name.strip("_").startswith(("Base", "Abstract"))
            or node.name.endswith((*_VAGUE, *_VAGUE_ENDS))
        )
    ]

    assert vague == []


@pytest.mark.parametrize("word", _UNFINISHED)
def test_nothing_is_left_for_later(word: str) -> None:
    assert [name_of(path) for path in PACKAGES if word in path.read_text()] == []


def test_the_product_prints_nothing() -> None:
    prints = [
        f"{name_of(path)}:{node.lineno}"
        for path in PACKAGES
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]

    assert prints == []


@pytest.mark.parametrize("package", _PUBLIC_NAMES, ids=lambda package: package.__name__)
def test_a_package_has_few_public_names_and_has_them_all(package: object) -> None:
    names = getattr(package, "__all__", [])

    assert len(names) <= _PUBLIC_NAMES[package]  # type: ignore[index]  # a module is a key
    assert len(set(names)) == len(names)
    assert all(hasattr(package, name) for name in names)


def test_every_package_says_that_it_is_typed() -> None:
    for package in _PUBLIC_NAMES:
        assert package.__file__ is not None
        assert (Path(package.__file__).parent / "py.typed").exists()


def test_no_two_test_files_have_one_name() -> None:
    names = Counter(path.name for path in TESTS if path.name.startswith("test_"))

    assert [name for name, count in names.items() if count > 1] == []
    assert [name_of(path) for path in TESTS if path.name == "__init__.py"] == []


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in PACKAGES
        if path.read_text().strip() and ast.get_docstring(parsed(path)) is None
    ]

    assert silent == []


def test_every_exemption_says_which_rule_and_why() -> None:
    marks = ("# no" + "qa", "# type: " + "ignore")
    bare = [
        f"{name_of(path)}:{number}"
        for path in MODULES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        for mark in marks
        if mark in line and not _has_code_and_reason(line.partition(mark)[2])
    ]

    assert bare == []


def _has_code_and_reason(after: str) -> bool:
    code, reason = after[:1], after.lstrip(":[").partition(" ")[2] if after[:1] == ":" else after
    return code in (":", "[") and len(reason.strip(" -#]:").split()) >= 2


def _pure() -> list[Path]:
    fleet = ROOT / "workers/tollway_workers"
    found = [path for name in _PURE for path in ((fleet / name).rglob("*.py"), [fleet / name])]
    files = [path for paths in found for path in paths if path.suffix == ".py" and path.is_file()]
    return [path for path in files if str(path.relative_to(fleet)) not in _SEAMS]


def test_decisions_wait_for_nothing_and_have_no_clock() -> None:
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    impure = [
        f"{name_of(path)}:{node.lineno}"
        for path in _pure()
        for node in nodes(path)
        if isinstance(node, waiting)
        or (isinstance(node, ast.Attribute) and node.attr in ("now", "utcnow", "today"))
        or (isinstance(node, ast.Call) and getattr(node.func, "id", None) == "open")
        or (isinstance(node, ast.Import) and {each.name for each in node.names} & _WORLD)
        or (isinstance(node, ast.ImportFrom) and _reaches_the_world(node))
    ]

    assert len(_pure()) > 80
    assert impure == []


def _reaches_the_world(node: ast.ImportFrom) -> bool:
    if node.module == "random":
        # The dice themselves are an argument.
        return [each.name for each in node.names] != ["Random"]
    return node.module in {*_WORLD, "tollway_workers.clock"}


def test_no_loop_waits_for_an_event_in_a_way_that_loses_a_cancellation() -> None:
    # On Python 3.11 `wait_for` returns as if nothing were where both come at once: a task that is
    # cancelled then goes on for ever. `asyncio.timeout` does not.
    losing = [
        f"{name_of(path)}:{node.lineno}"
        for path in PRODUCT
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) == "asyncio.wait_for"
        and ast.unparse(node.args[0]).endswith(".wait()")
    ]

    assert losing == []


def test_no_room_names_a_room_above_it_in_a_text() -> None:
    # A module that is started by its name is a dependency, which the import linter cannot see.
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers")
    height = {room: -at for at, layer in enumerate(layers) for room in layer.split(" : ")}
    fleet = Path(tollway_workers.__file__).parent
    upwards = [
        f"{name_of(path)}:{node.lineno}"
        for path in PACKAGES
        if path.is_relative_to(fleet) and path.parent != fleet
        for node in nodes(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and (named := re.fullmatch(r"tollway_workers\.(\w+)(\.\w+)*", node.value))
        and height[named[1]] > height[path.relative_to(fleet).parts[0]]
    ]

    assert upwards == []
