"""A stack with two versions whose names are hostile, the first in production, and the console `interlock up` starts.

Imported by the tests here; run as a process by the browser tests, which live in an environment without Interlock::

    python console_stage.py FOLDER        says {"url": ...}, then answers each line of its input:
    rollout ID                            begins a canary of version 2 against version 1: {"path": ...}
    requests N                            sends N requests, with outcomes: {"sent": N}
    shares                                traffic in percent by version
"""

import json
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec

from interlock.config import config_sha256, parse_config
from interlock.contracts import DataVerdict, Evaluation, GateReport, Manifest, Measure, Place, RuleResult, read_contract
from interlock.rehearsal.actor import outcome
from interlock.rehearsal.stage import CONFIG, Stage
from interlock.rollout.emergency import shares
from interlock.vertex.artifacts import upload_folder
from interlock.vertex.client import parent, service
from interlock.vertex.rollout import open_rollout
from interlock.warehouse import open_warehouse, outcomes

INTERLOCK = Path(sys.executable).with_name("interlock")
HOSTILE = "<script>alert(1)</script>"


def actors(root):
    """An environment whose model server is an actor: a version is deployed in a second, without a model."""
    python = root / "ml" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(
        f'#!/bin/sh\ncase "$*" in\n*interlock.serving*) exec {sys.executable} -m interlock.rehearsal.actor;;\n'
        f'*) exec {sys.executable} "$@";;\nesac\n'
    )
    python.chmod(0o755)
    python.with_name("python3").symlink_to("python")  # what steps of a pipeline call
    return root


def write_version(folder, digest):
    """The files of a version, as training leaves them."""
    measures = [Measure(metric=m, n=900, value=0.9, low=0.88, high=0.92) for m in ("auc", "cost")]
    measures.append(Measure(metric="auc", slice=f"kind={HOSTILE}", n=90, value=0.8, low=0.7, high=0.9))
    rule = RuleResult(gate="metrics", rule="auc", value=0.9, limit=0.5, verdict="pass", reason=f"0.9 >= 0.5 {HOSTILE}")
    files = {
        "manifest.json": Manifest(
            name="stage",
            model_sha256=digest,
            signature_sha256="s" * 64,
            features_sha256="f" * 64,
            table_sha256="t" * 64,
            config_sha256=config_sha256(CONFIG),
            config=CONFIG,
            seed=7,
            window=["2024-01", "2024-06"],
            rows={"train": 8000, "test": 1000},
            git_revision=HOSTILE,
        ),
        "data_verdict.json": DataVerdict(
            passed=True, rows=9000, features=1, table_sha256="t" * 64, schema_sha256="c" * 64
        ),
        "evaluation.json": Evaluation(
            model_sha256=digest,
            test_sha256="x" * 64,
            champion="",
            rows=1000,
            threshold=0.5,
            measures=measures,
            comparisons=[],
            confusion=[[800, 50], [50, 100]],
            roc=[[0.9, 0.1, 0.5], [0.1, 0.6, 0.95]],
            score_deciles=[k / 10 for k in range(1, 10)],
            latency_requests=500,
            latency_p50_ms=1.0,
            latency_p99_ms=2.0,
            champion_latency_p99_ms=None,
            size_bytes=1000,
            load_seconds=0.1,
        ),
        "gate_report.json": GateReport(passed=True, model_sha256=digest, champion="", rules=[rule]),
    }
    folder.mkdir()
    for name, contract in files.items():
        (folder / name).write_bytes(msgspec.json.encode(contract))
    return folder


def upload(stage, folder, digest, part="sound"):
    """Register a version with its files in the bucket; it plays ``part``."""
    from google.cloud import aiplatform_v1 as v1

    uri = upload_folder(stage.place, write_version(folder, digest), f"models/stage/{digest}")
    model = v1.Model(
        display_name=HOSTILE,
        artifact_uri=uri,
        version_description=HOSTILE,
        container_spec=v1.ModelContainerSpec(
            image_uri="interlock-ml",
            predict_route="/predict",
            health_route="/health",
            env=[v1.EnvVar(name="ACTOR_PART", value=part)],
        ),
    )
    name = f"{parent(stage.place)}/models/stage"
    which = {"parent_model": name} if stage.registry.versions() else {"model_id": "stage"}
    request = v1.UploadModelRequest(parent=parent(stage.place), model=model, **which)
    answer = service(stage.place, "Model").upload_model(request).result(timeout=60)
    return stage.registry.find(answer.model_version_id)


def send_traffic(stage, requests, prefix):
    """Requests through the endpoint, and what became of them."""
    rows = [{"row_key": f"{prefix}-{k}", "x": (k % 10) / 10} for k in range(requests)]
    for row in rows:
        stage.endpoint.predict([row])
    known = [{"row_key": row["row_key"], "outcome": outcome(row["x"]), "time": time.time()} for row in rows]
    with open_warehouse(stage.place.warehouse).begin() as connection:
        connection.execute(outcomes.insert(), known)


class Ground:
    """The stack, its console's address, and what can be done to it. ``deployed``: both versions' deployed ids."""

    def __init__(self, folder, state, url):
        self.state, self.url = state, url
        self.stage = Stage(read_contract(state / "place.json", Place), parse_config(CONFIG, "stage"))
        self.versions = [upload(self.stage, folder / (digest * 8), digest * 64) for digest in "ab"]
        self.deployed = self.stage.ready(*self.versions)

    def rollout(self, id_):
        """A canary of version 2 against version 1, in its first step; the address of its page."""
        self.deployed = self.stage.ready(*self.versions)
        rollout = open_rollout(self.stage.place, self.stage.config, id_)
        rollout.begin("1", "2", *self.deployed)
        rollout.shift(0)
        return f"/rollouts/{id_}"

    def shares(self):
        """Traffic in percent by version."""
        return shares(self.stage.endpoint.read())


@contextmanager
def opened(folder):
    """A :class:`Ground` in ``folder``, ended with the block."""
    state = folder / "state"
    variables = {"INTERLOCK_ENVIRONMENTS": str(actors(folder / "environments")), "INTERLOCK_WARM": "0"}
    command = ["env", *(f"{name}={value}" for name, value in variables.items()), str(INTERLOCK)]
    up = subprocess.run([*command, "up", "--state", str(state)], capture_output=True, text=True, timeout=90, check=True)
    try:
        yield Ground(folder, state, re.search(r"console\s+(http://127\.0\.0\.1:\d+)", up.stdout).group(1))
    finally:
        down = subprocess.run(
            [*command, "down", "--state", str(state)], capture_output=True, text=True, timeout=60, check=True
        )
        assert "console" in down.stdout
        assert not (state / "console.json").exists()


def main():
    """Answer until the input ends."""
    with opened(Path(sys.argv[1])) as ground:
        schedule(ground.stage)
        print(json.dumps({"url": ground.url}), flush=True)
        for line in sys.stdin:
            order, *given = line.split()
            if order == "rollout":
                said = {"path": ground.rollout(given[0])}
            elif order == "requests":
                send_traffic(ground.stage, int(given[0]), f"browser-{time.time():.0f}")
                said = {"sent": int(given[0])}
            else:
                said = ground.shares()
            print(json.dumps(said), flush=True)


def schedule(stage):
    """A paused schedule whose name is hostile."""
    from google.cloud import aiplatform_v1 as v1
    from google.protobuf import struct_pb2

    spec = struct_pb2.Struct()
    spec.update({"pipelineInfo": {"name": "nothing"}, "root": {"dag": {"tasks": {}}}})
    job = v1.CreatePipelineJobRequest(
        parent=parent(stage.place),
        pipeline_job=v1.PipelineJob(
            pipeline_spec=spec, runtime_config=v1.PipelineJob.RuntimeConfig(gcs_output_directory="gs://none/root")
        ),
    )
    wanted = v1.Schedule(
        display_name=HOSTILE, cron="0 3 1 1 *", max_concurrent_run_count=1, create_pipeline_job_request=job
    )
    client = service(stage.place, "Schedule")
    made = client.create_schedule(parent=parent(stage.place), schedule=wanted)
    client.pause_schedule(name=made.name)


if __name__ == "__main__":
    main()
