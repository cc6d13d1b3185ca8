"""The bill of material of an image, against what the image holds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from interlock import __version__

ROOT = Path(__file__).parents[2]
FINGERPRINT = "import importlib.metadata as m; print(*sorted({d.metadata['Name'] for d in m.distributions()}))"


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bill of the model server's image, by the script that `make sbom` runs."""
    subprocess.run([ROOT / "deploy" / "environment.sh", "tools"], check=True, timeout=240)
    path = tmp_path_factory.mktemp("bill") / "serve.json"
    script = ROOT / "deploy" / "supply-chain" / "image_sbom.py"
    python = ROOT / ".venv" / "tools" / "bin" / "python"
    subprocess.run([python, script, f"interlock-serve:{__version__}", path], check=True, timeout=120)
    return json.loads(path.read_text())


def named(bill: Any, kind: str) -> dict[str, str]:
    return {each["name"]: each["version"] for each in bill["components"] if each["purl"].startswith(f"pkg:{kind}/")}


def test_it_is_of_this_image(bill: Any, daemon: Any) -> None:
    image = daemon.images.get(f"interlock-serve:{__version__}")
    about = bill["metadata"]["component"]
    assert about["type"] == "container"
    assert (about["name"], about["version"]) == ("interlock-serve", __version__)
    assert f"sha256:{about['hashes'][0]['content']}" == image.id


def test_python_packages_are_those_of_the_image_and_of_its_lock(bill: Any, output: Any) -> None:
    found = named(bill, "pypi")
    assert set(output("serve", "python3", "-c", FINGERPRINT).split()) <= set(found)
    lock = (ROOT / "requirements" / "serve.lock").read_text().splitlines()
    pins = dict(line.split(";")[0].rstrip(" \\").split("==") for line in lock if "==" in line and line[0].isalnum())
    lower = {name.lower().replace("_", "-"): version for name, version in found.items()}
    assert lower["interlock"] == __version__
    installed = {name: lower[name] for name in pins if name in lower}
    assert installed == {name: pins[name] for name in installed}
    assert {"numpy", "onnxruntime"} <= set(installed)


def test_debian_packages_are_in_it(bill: Any, output: Any) -> None:
    query = ("dpkg-query", "--show", "--showformat", "${Package} ${Version}\n")
    listed = dict(line.split() for line in output("serve", *query).splitlines())
    assert named(bill, "deb") == listed
    assert "libc6" in listed
    assert all("distro=debian-" in each["purl"] for each in bill["components"] if each["purl"].startswith("pkg:deb/"))


def test_a_licence_is_named_where_the_package_names_one(bill: Any) -> None:
    (numpy,) = [each for each in bill["components"] if each["name"] == "numpy"]
    assert "BSD-3-Clause" in numpy["licenses"][0]["license"]["name"]
