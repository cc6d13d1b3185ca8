"""The import rules of ARCHITECTURE.md, read from the source: each layer looks only down."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src" / "interlock"

# Lower numbers know nothing of higher ones. A package is a layer; so is a module at the top of the package.
LAYERS = {
    "errors": 0,
    "progress": 0,
    "contracts": 1,
    "settings": 1,
    "config": 1,
    "warehouse": 1,
    "ingestion": 2,
    "validation": 3,
    "features": 4,
    "serving": 4,
    "training": 5,
    "evaluation": 6,
    "gates": 7,
    "registry": 8,
    "monitoring": 8,
    "rollout": 9,
    "report": 10,
    "local": 10,
    "emulator": 11,
    "doctor": 11,
    "vertex": 11,
    "console": 12,
}
# Whatever is not named above stands on top of all: command line, submission, rehearsal and the like.
TOP = 20


def layer(module: str) -> int:
    """Layer of ``interlock.x.y``."""
    parts = module.split(".")
    return LAYERS.get(parts[1], TOP) if len(parts) > 1 else 0


def imports(path: Path) -> list[str]:
    """Every module a file imports, wherever in the file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            found.append(node.module)
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def module_of(path: Path) -> str:
    parts = path.relative_to(CORE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


SOURCES = sorted(CORE.rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(CORE)))
def test_layers_look_down(path):
    here = module_of(path)
    for target in imports(path):
        if target.startswith("interlock.") and target.split(".")[1] != [*here.split("."), ""][1]:
            if target.split(".")[1] in {"components", "pipelines"}:
                assert layer(here) == TOP, f"{here} imports {target}: components and pipelines stand above the core"
            else:
                assert layer(target) <= layer(here), f"{here} (layer {layer(here)}) imports {target} ({layer(target)})"


def test_no_import_cycles_between_packages():
    graph: dict[str, set[str]] = {}
    for path in SOURCES:
        here = module_of(path)
        name = [*here.split("."), "interlock"][1]
        for target in imports(path):
            if target.startswith("interlock.") and target.split(".")[1] != name:
                graph.setdefault(name, set()).add(target.split(".")[1])

    def reach(name: str, seen: set[str]) -> set[str]:
        for target in graph.get(name, set()) - seen:
            reach(target, seen | {target})
            seen.add(target)
        return seen

    for name, direct in graph.items():
        circular = {target for target in direct if name in reach(target, set())}
        assert not circular, f"{name} and {circular} import each other"


def test_only_local_imports_kfp():
    for path in SOURCES:
        if any(target.split(".")[0] == "kfp" for target in imports(path)):
            assert path.is_relative_to(CORE / "local"), f"{path} imports kfp"


def test_only_vertex_imports_the_google_sdk():
    for path in SOURCES:
        for target in imports(path):
            if target.startswith(("google.cloud.aiplatform", "google.cloud.aiplatform_v1")):
                assert path.is_relative_to(CORE / "vertex"), f"{path} imports {target}"


WRITES = re.compile(r"os\.environ(\.clear\(\)|\.update\(|\[[^]]+\] = )")


def test_only_settings_reads_the_environment():
    """Writing is allowed where a library or a child process takes nothing else."""
    for path in SOURCES:
        if path.name == "settings.py":
            continue
        for line in path.read_text().splitlines():
            if "os.environ" in line or "os.getenv" in line:
                assert WRITES.search(line), f"{path} reads the environment: {line.strip()}"


def test_core_imports_under_the_kfp_runtime():
    """A step runs with _KFP_RUNTIME=true, where kfp exports no decorators."""
    modules = [module_of(path) for path in SOURCES if path.stem != "__main__" and layer(module_of(path)) < TOP]
    modules = [name for name in modules if name.split(".")[1:2] not in (["local"], ["validation"])]
    code = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"_KFP_RUNTIME": "true", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_components_are_thin():
    for path in sorted((ROOT / "components").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                body = node.end_lineno - node.body[0].lineno
                assert body <= 60, f"{path.name}: {node.name} has {body} lines; move logic into the core"
                inner = [n for n in ast.walk(node) if isinstance(n, (ast.FunctionDef, ast.Lambda)) and n is not node]
                assert not inner, f"{path.name}: {node.name} defines functions"


def test_files_can_be_held_in_mind():
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES}
    too_long = {str(path.relative_to(ROOT)): n for path, n in lengths.items() if n > 400}
    assert not too_long, too_long
    for path in [*(ROOT / "pipelines").glob("*.py")]:
        assert len(path.read_text().splitlines()) <= 120, path
