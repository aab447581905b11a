"""The rules of the house that can be checked: who may import whom, how long a file may be, what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sparring"
EVERYWHERE = {"types", "config", "measuring", "lock"}
MAY_IMPORT = {
    "losses": set(),
    "pairs": set(),
    "attacks": set(),
    "norms": set(),
    "analysis": set(),
    "data": set(),
    "encoders": {"norms"},
    "methods": {"losses", "pairs", "attacks", "norms", "encoders"},
    "evaluation": {"attacks", "encoders", "norms", "losses", "data"},
    "training": {"methods", "encoders", "data", "evaluation", "attacks", "pairs", "norms"},
    "reporting": {"analysis", "evaluation", "attacks"},
}
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__")
SOURCES = sorted(PACKAGE.rglob("*.py"))


def imported_rooms(source: Path) -> set[str]:
    """The rooms of the package that a file imports, wherever in the file the import stands."""
    rooms = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: imports are absolute"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        else:
            continue
        rooms |= {module.split(".")[1] for module in modules if module.startswith("sparring.")}
    return rooms


@pytest.mark.parametrize(
    "source", [s for s in SOURCES if s.parent != PACKAGE], ids=lambda s: str(s.relative_to(PACKAGE))
)
def test_a_room_imports_only_what_its_arrows_allow(source):
    room = source.relative_to(PACKAGE).parts[0]
    allowed = MAY_IMPORT.get(room, set(ROOMS) - {"recipes"}) | EVERYWHERE | {room}
    forbidden = imported_rooms(source) & {*ROOMS, "cli"} - allowed
    assert not forbidden, f"{source.relative_to(ROOT)} may not import {sorted(forbidden)}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: str(s.relative_to(PACKAGE)))
def test_no_file_is_longer_than_300_lines(source):
    assert len(source.read_text().splitlines()) <= 300


def test_a_method_file_is_under_60_lines_of_code():
    for source in (PACKAGE / "methods").glob("*.py"):
        tree = ast.parse(source.read_text())
        docstring = ast.get_docstring(tree, clean=False) or ""
        code = [line for line in source.read_text().splitlines() if line.strip()]
        assert len(code) - len(docstring.splitlines()) <= 90, source.name


def test_rooms_have_names_of_their_own():
    assert not set(ROOMS) & {"utils", "core", "common", "misc", "helpers"}
    assert not [s for s in SOURCES if s.stem in {"utils", "core", "common", "misc", "helpers"}]


def test_no_room_is_an_empty_shell():
    for room in ROOMS:
        assert any(ast.parse(s.read_text()).body[1:] for s in (PACKAGE / room).glob("*.py")), room


def test_tests_mirror_the_package():
    assert not [room for room in ROOMS if not list((ROOT / "tests" / room).glob("test_*.py"))]


def test_references_never_import_what_they_check():
    for source in (ROOT / "tests" / "reference").glob("*.py"):
        assert "sparring" not in {
            name.split(".")[0]
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        }, source.name


@pytest.mark.parametrize("module", ["sparring", "sparring.config", "sparring.measuring", "sparring.cli"])
def test_importing_is_light(module):
    heavy = "{'torch', 'numpy', 'lightning', 'torchvision', 'sklearn', 'matplotlib'}"
    program = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_no_committed_file_names_a_place_of_one_machine():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in tracked:
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".cff", ""} and path != Path(__file__):
            text = path.read_text(errors="ignore")
            assert "/work/" not in text and "../shared" not in text, name
