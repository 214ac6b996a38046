"""The shape of the package, drawn from its imports: they go down only, files stay short, importing stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parent.parent / "src" / "shelfcast"
# Low to high; a room imports from its own line and the lines before it, as docs/architecture.md draws it.
LAYERS = [
    {"names", "errors"}, {"files", "progress", "periods"}, {"panel", "forecast", "plan"}, {"data"}, {"features"}, {"world"}, {"nn"},
    {"models"}, {"evaluate"}, {"adjust"}, {"decide"}, {"explain", "show"}, {"operate", "settings"}, {"workflow"},
    {"cli", "service", "dashboard", "watch"}, {"__main__"},
]
DOORS = LAYERS[-2]
HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}
HEAVY = ("polars", "torch", "lightgbm", "fastapi", "numpy", "scipy", "pandas", "sklearn")
JUNK = {"utils", "util", "helpers", "helper", "common", "misc", "core", "tools", "stuff"}
FILES = sorted(SRC.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(SRC).parts[0].removesuffix(".py")


def imports_of(file: Path) -> set[str]:
    """Rooms of ours that a file imports, those inside functions and `if TYPE_CHECKING` included."""
    rooms = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "shelfcast":
            parts = node.module.split(".")
            rooms |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
        elif isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("shelfcast.")}
    return rooms - {"__version__"}


@pytest.mark.parametrize("file", [f for f in FILES if f != SRC / "__init__.py"], ids=lambda f: str(f.relative_to(SRC)))
def test_imports_go_down_only(file):
    room = room_of(file)
    assert room in HEIGHT, f"{room} is a new room: give it a line in LAYERS and in docs/architecture.md"
    for other in imports_of(file) - {room, "shelfcast"}:
        assert HEIGHT[other] < HEIGHT[room], f"{room} imports {other}, which lies on the same line or above it"


def test_doors_call_the_workflow_and_nothing_beneath_it_that_computes():
    allowed = {"workflow", "settings", "errors", "names", "periods", "progress", "operate", "cli"}
    for file in FILES:
        if room_of(file) in DOORS:
            assert imports_of(file) <= allowed, file


def test_no_file_is_longer_than_a_room_should_be():
    long = {str(f.relative_to(SRC)): n for f in FILES if (n := len(f.read_text(encoding="utf-8").splitlines())) > 600}
    assert not long


def test_no_class_learns_too_many_verbs():
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                public = [n.name for n in node.body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")]
                assert len(public) <= 15, (node.name, public)


def test_every_file_says_what_room_it_is_and_none_is_a_junk_drawer():
    for file in FILES:
        assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), f"{file} has no docstring"
        assert file.stem not in JUNK


def test_public_functions_take_no_open_ended_keywords():
    """SalesPanel's two makers pass fields on to the dataclass, and set_params to scikit-learn; both refuse unknown ones."""
    allowed = {"from_frame", "from_periods", "set_params"}
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name not in allowed:
                assert node.args.kwarg is None, f"{file.name}: {node.name} takes **{node.args.kwarg.arg}"


def test_importing_shelfcast_loads_nothing_heavy():
    code = f"import sys, shelfcast; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_the_command_line_starts_without_the_heavy_packages():
    code = f"import sys, shelfcast.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
