"""What is in the images, and what is not."""

from __future__ import annotations

from typing import Any

import pytest
from interlock.components.images import DATA, ML, SERVE

from interlock import __version__

TARGETS = ("serve", "ml", "data", "emulator")

# Megabytes as Docker counts them, base included; docs/images.md has what was measured.
LARGEST = {"serve": 260, "emulator": 330, "ml": 1500, "data": 3300}

each = pytest.mark.parametrize("target", TARGETS)


def test_steps_are_compiled_for_the_images_that_are_built():
    assert {ML, DATA, SERVE} == {f"interlock-{target}:{__version__}" for target in ("ml", "data", "serve")}


@each
def test_runs_as_nobody_in_particular(output: Any, daemon: Any, target: str) -> None:
    assert output(target, "id", "-u") == "10001"
    assert daemon.images.get(f"interlock-{target}:{__version__}").attrs["Config"]["User"] == "10001:10001"


@each
def test_cannot_change_what_it_runs(output: Any, target: str) -> None:
    found = output(target, "find", "/opt/interlock", "-writable", "-not", "-type", "l", "-print", "-quit")
    assert found == ""


@each
def test_has_no_compiler_installer_or_cache(output: Any, target: str) -> None:
    script = "for name in cc gcc g++ make ld uv pip pip3; do command -v $name || true; done"
    assert output(target, "sh", "-c", script) in (
        "",
        "/usr/local/bin/pip\n/usr/local/bin/pip3",
    )  # the public base has pip
    caches = "ls -A /root/.cache /home/interlock/.cache /tmp /wheel /tools /var/lib/apt/lists 2>/dev/null || true"
    listed = output(target, "sh", "-c", caches, user="0")
    assert [line for line in listed.splitlines() if line and not line.endswith(":")] == []


@each
def test_says_what_it_is(daemon: Any, target: str) -> None:
    labels = daemon.images.get(f"interlock-{target}:{__version__}").labels
    assert labels["org.opencontainers.image.title"] == f"interlock-{target}"
    assert labels["org.opencontainers.image.version"] == __version__
    assert len(labels["org.opencontainers.image.revision"].removesuffix("+")) in (40, 7)  # 7: "unknown"


@each
def test_is_no_larger_than_it_has_to_be(daemon: Any, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    megabytes = daemon.images.get(f"interlock-{target}:{__version__}").attrs["Size"] / 1e6
    with capsys.disabled():
        print(f"\n  interlock-{target}: {megabytes:.0f} MB")
    assert megabytes < LARGEST[target]


@pytest.mark.parametrize(
    ("target", "has", "lacks"),
    [
        ("serve", "interlock.serving.server onnxruntime google.cloud.storage", "sklearn pandas kfp aiohttp setuptools"),
        ("emulator", "interlock.emulator.server gcp_storage_emulator psycopg tzdata", "sklearn pandas kfp"),
        ("ml", "kfp sklearn skl2onnx duckdb google.cloud.aiplatform psycopg interlock.pipelines.training", "pytest"),
        (
            "data",
            "interlock.validation.statistics tensorflow_data_validation",
            "google.cloud.aiplatform sklearn pytest",
        ),
    ],
)
def test_has_what_it_is_for_and_no_more(output: Any, target: str, has: str, lacks: str) -> None:
    code = (
        "import importlib, importlib.util, sys\n"
        f"for name in {has.split()!r}: importlib.import_module(name)\n"
        f"print([n for n in {[name for name in lacks.split() if '.' not in name]!r} if importlib.util.find_spec(n)])"
    )
    assert output(target, "python3", "-W", "ignore", "-c", code).splitlines()[-1] == "[]"


def test_the_wheel_brings_styles_scripts_and_types(output: Any) -> None:
    code = (
        "import importlib.resources as r, interlock, pathlib\n"
        "root = pathlib.Path(interlock.__file__).parent\n"
        "print(sorted({p.suffix for p in root.rglob('*') if p.is_file()} - {'.pyc'}))"
    )
    assert output("ml", "python3", "-c", code) == "['.css', '.js', '.py', '.typed']"


def test_the_command_line_is_in_ml(output: Any) -> None:
    assert "rollback" in output("ml", "interlock", "--help")
