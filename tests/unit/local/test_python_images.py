"""Pipelines of other people: plain Python images, packages of their own, container components. Nothing is mocked."""

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl
from kfp.dsl import Artifact, Output

from interlock.local.command import Packages, parse_command

VERSION = f"3.{sys.version_info.minor}"
PROGRAM_PART = "kfp.dsl.executor_main --component_module_path ephemeral_component.py"


@pytest.fixture
def wheel(tmp_path: Path) -> str:
    """A package that no index has."""
    path = tmp_path / "signalbox-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("signalbox.py", "LEVER = 'down'\n")
        archive.writestr("signalbox-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: signalbox\nVersion: 1.0\n")
        archive.writestr(
            "signalbox-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("signalbox-1.0.dist-info/RECORD", "")
    return str(path)


@dsl.component(base_image=f"registry.example/python:{VERSION}-slim")
def ordinary() -> str:
    import importlib.util
    import sys

    return f"{sys.version_info[0]}.{sys.version_info[1]} pandas={importlib.util.find_spec('pandas') is not None}"


@dsl.container_component
def shell(text: str, said: dsl.OutputPath(str), report: Output[Artifact]):
    return dsl.ContainerSpec(
        image=f"ubi9/python-3{sys.version_info.minor}:latest",
        command=["python3", "-c"],
        args=[
            "import sys; open(sys.argv[2], 'w').write(sys.argv[1].upper()); open(sys.argv[3], 'w').write('x')",
            text,
            said,
            report.path,
        ],
    )


@dsl.component(base_image="interlock-ml", install_kfp_package=False)
def size_of(report: dsl.Input[Artifact]) -> int:
    from pathlib import Path

    return Path(report.path).stat().st_size


def test_a_plain_python_image_has_kfp_and_nothing_else(jobs: Any) -> None:
    @dsl.pipeline(name="plain")
    def plain() -> None:
        ordinary()

    finished = jobs.run(plain)
    assert finished.output("ordinary") == f"{VERSION} pandas=False"


def test_a_container_component_of_a_python_image_passes_parameters_and_artifacts(jobs: Any) -> None:
    @dsl.pipeline(name="containers")
    def pipeline() -> None:
        spoken = shell(text="clear")
        size_of(report=spoken.outputs["report"])

    finished = jobs.run(pipeline)
    assert finished.verdict["state"] == "SUCCEEDED", finished.verdict
    assert finished.output("shell", "said") == "CLEAR"
    assert finished.output("size-of") == 1


@pytest.mark.parametrize("image", ["interlock-ml", f"python:{VERSION}"])
def test_packages_are_installed_once_into_an_environment_of_their_own(jobs: Any, wheel: str, image: str) -> None:
    @dsl.component(base_image=image, packages_to_install=[wheel])
    def lever() -> str:
        import signalbox

        return f"{signalbox.LEVER} {signalbox.__file__}"

    @dsl.pipeline(name="packages")
    def pipeline() -> None:
        lever().set_caching_options(False)

    first, second = jobs.run(pipeline), jobs.run(pipeline)
    assert first.verdict["state"] == "SUCCEEDED", first.verdict
    assert first.output("lever").startswith("down ")
    assert first.output("lever") == second.output("lever")


def test_a_package_that_cannot_be_had_says_so_before_anything_starts(jobs: Any, tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere-1.0-py3-none-any.whl")

    @dsl.component(base_image=f"python:{VERSION}", packages_to_install=[missing])
    def greedy() -> str:
        return ""

    @dsl.pipeline(name="refused")
    def refused() -> None:
        ordinary()
        greedy()

    finished = jobs.run(refused)
    assert len(finished.events) == 1
    assert "nowhere-1.0" in finished.verdict["error"]
    assert "cannot be installed" in finished.verdict["error"]


def test_what_only_the_image_has_is_named_before_anything_starts(jobs: Any) -> None:
    @dsl.container_component
    def binary():
        return dsl.ContainerSpec(image=f"python:{VERSION}", command=["/app/train"])

    @dsl.component(base_image="python:3.99")
    def future() -> str:
        return ""

    @dsl.pipeline(name="refused")
    def refused() -> None:
        binary()
        future()

    finished = jobs.run(refused)
    assert len(finished.events) == 1
    assert "binary runs /app/train" in finished.verdict["error"]


QUIET = "PIP_X=1 python3 -m pip install --quiet --no-warn-script-location"
KFP = f"{QUIET} 'kfp==2.17.0' '--no-deps' 'typing-extensions>=3.7.4,<5; python_version<\"3.9\"'"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (KFP, ((), ())),
        (f"{QUIET} 'pandas<3' 'a[b]>=1' && {KFP} && \"$0\" \"$@\"", (("pandas<3", "a[b]>=1"), ())),
        (
            f'{QUIET} --index-url https://i.example/simple --trusted-host i.example x && "$0"',
            (("x",), ("--index-url", "https://i.example/simple", "--trusted-host", "i.example")),
        ),
        ("python3 -m pip install 'kfp' 'mine'", ((), ())),
    ],
)
def test_what_pip_is_asked_for(head: str, expected: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
    parsed = parse_command(["sh", "-c", head, "sh", "-ec", PROGRAM_PART, "source"])
    assert parsed is not None
    assert parsed.packages == Packages(*expected)
