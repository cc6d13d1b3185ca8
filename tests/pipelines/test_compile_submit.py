"""The accepted templates are taken by the client and the API that production uses: handed over and left to run."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from interlock.commands.submit import hand_over
from interlock.contracts import write_contract
from interlock.errors import InputError
from interlock.testing import running_emulator
from interlock.vertex import jobs
from interlock.vertex.client import service

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "examples" / "flights" / "config.yaml"
VERTEX = ROOT / "deploy" / "templates" / "vertex"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with running_emulator(tmp_path_factory.mktemp("place")) as place:
        yield place


def submitted(place, file, pipeline, template):
    """Hand over; the job as the API has it."""
    write_contract(place, file)
    printed = io.StringIO()
    hand_over(pipeline, CONFIG, file, template, start="", end="2013-02-01", console=Console(file=printed))
    return service(place, "Pipeline").get_pipeline_job(name=printed.getvalue().strip())


@pytest.mark.parametrize("pipeline", ["training", "deployment"])
def test_an_accepted_template_becomes_a_job(place, tmp_path, pipeline):
    job = submitted(place, tmp_path / "place.json", pipeline, str(VERTEX / f"{pipeline}.yaml"))
    assert job.pipeline_spec["pipelineInfo"]["name"] == f"interlock-{pipeline}"
    parameters = job.runtime_config.parameter_values
    assert parameters["config"] == CONFIG.read_text()
    assert ("end" in parameters) == (pipeline == "training")
    service(place, "Pipeline").cancel_pipeline_job(name=job.name)
    states = list(jobs.watch(place, job.name))  # ends: nothing is left running
    assert states[-1].state in {"cancelled", "failed"}


def test_a_kubernetes_template_is_not_for_vertex(place, tmp_path):
    template = ROOT / "deploy" / "templates" / "kubernetes" / "deployment.yaml"
    with pytest.raises(InputError, match=r"(?s)not one document of YAML.*give what `interlock compile` writes"):
        submitted(place, tmp_path / "place.json", "deployment", str(template))
    with pytest.raises(InputError, match=r"nothing\.yaml"):
        submitted(place, tmp_path / "place.json", "deployment", str(VERTEX / "nothing.yaml"))


def test_place_and_template_go_together(tmp_path):
    command = [
        Path(sys.executable).with_name("interlock"),
        "submit",
        "training",
        "-c",
        CONFIG,
        "--place",
        tmp_path / "p",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--place and --template go together" in done.stderr
