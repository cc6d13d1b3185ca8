"""`make kind-run` up to the cluster: the real kfp client makes runs of the Kubernetes templates, with every parameter.

What stands in for the cluster is the part of the Kubeflow Pipelines API that the client asks, over HTTP, and a
`kubectl` whose port-forward serves it.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from interlock.contracts import parse_place

ROOT = Path(__file__).parents[2]
API = """
import http.server, json, sys
state, folder = sys.argv[2], sys.argv[3]
about = {"run_id": "r1", "experiment_id": "e1", "display_name": "x", "created_at": "2026-01-01T00:00:00Z"}

class Api(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if "/runs/" in self.path:
            return self.answer({**about, "state": state})
        self.answer({"multi_user": False} if "healthz" in self.path else {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "/experiments" in self.path:
            return self.answer({"experiment_id": "e1", "display_name": "interlock", "created_at": about["created_at"]})
        name = json.loads(body)["pipeline_spec"]["pipeline_spec"]["pipelineInfo"]["name"]
        open(f"{folder}/{name}.json", "wb").write(body)
        self.answer({**about, "state": "PENDING"})

    def log_message(self, *_):
        pass

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Api).serve_forever()
"""


def kind_run(folder, state):
    """`deploy/kind/run.sh` against an API whose runs end in ``state``; what it printed, and the runs it made."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "api.py").write_text(API)
    (folder / "kubectl").write_text(
        f"""#!/usr/bin/env bash
for word in "$@"; do
  case $word in *:80) exec {sys.executable} {folder}/api.py "${{word%:80}}" {state} {folder} ;; esac
done
exec sleep 60
"""
    )
    (folder / "kubectl").chmod(0o755)
    done = subprocess.run(
        [ROOT / "deploy/kind/run.sh"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PORT": str(port)},
    )
    return done, {path.stem: json.loads(path.read_text()) for path in folder.glob("interlock-*.json")}


def test_both_pipelines_become_runs(tmp_path):
    done, runs = kind_run(tmp_path, "SUCCEEDED")
    assert done.returncode == 0, done.stderr
    assert set(runs) == {"interlock-training", "interlock-deployment"}
    for name, run in runs.items():
        pipeline = name.removeprefix("interlock-")
        documents = yaml.safe_load_all((ROOT / f"deploy/templates/kubernetes/{pipeline}.yaml").read_text())
        assert [run["pipeline_spec"]["pipeline_spec"], run["pipeline_spec"]["platform_spec"]] == list(documents)
        parameters = run["runtime_config"]["parameters"]
        assert parse_place(parameters["place"]) == parse_place((ROOT / "deploy/kind/place.json").read_text())
        assert parameters["config"] == (ROOT / "examples/flights/config.yaml").read_text()
    assert runs["interlock-training"]["runtime_config"]["parameters"]["end"] == "2013-07-01"


@pytest.mark.parametrize("state", ["FAILED"])
def test_nothing_is_deployed_after_a_training_that_failed(tmp_path, state):
    done, runs = kind_run(tmp_path, state)
    assert done.returncode == 1
    assert "training ended FAILED" in done.stderr
    assert set(runs) == {"interlock-training"}
