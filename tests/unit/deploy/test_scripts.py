"""Shell scripts are clean for shellcheck; those of kind call their tools as they must, on their own cluster only."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from kfp.cli.utils.parsing import parse_parameter_value

from interlock.contracts import parse_place

ROOT = Path(__file__).parents[3]
KIND = ROOT / "deploy" / "kind"
SCRIPTS = ["deploy/**/*.sh", "requirements/*.sh", "tests/**/*.sh", ".ci/*.sh", ".ci/run"]


def test_scripts_are_clean():
    scripts = sorted(str(path.relative_to(ROOT)) for pattern in SCRIPTS for path in ROOT.glob(pattern))
    assert {"deploy/kind/up.sh", "deploy/environment.sh", ".ci/run"} <= set(scripts)
    shellcheck = Path(sys.executable).with_name("shellcheck")  # of the development tools
    command = [shellcheck, "-x", "--exclude=SC2012", *scripts]  # counting files of our own by ls is fine
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    for name in scripts:
        text = (ROOT / name).read_text()
        assert "sourced, not run" in text.lower() or os.access(ROOT / name, os.X_OK), f"{name} cannot be run"
        assert "sourced, not run" in text.lower() or "set -eu" in text, f"{name} goes on after an error"


# A stand-in for a tool: writes down how it was called, and answers as the tool would in the state of the test.
RECORDER = """#!/usr/bin/env bash
name=${0##*/}
printf '%s' "$name" >>"$CALLS"; printf ' %q' "$@" >>"$CALLS"; echo >>"$CALLS"
case "$name $*" in
  "kind get clusters") echo other; [ "$HAVE_CLUSTER" = 0 ] || echo interlock ;;
  "docker image inspect "*) [ "$HAVE_IMAGES" = 1 ] ;;
  *"get secret interlock"*) [ "$HAVE_CLUSTER" = 1 ] && echo kept ;;
  *"create secret"*) cat >>"$CALLS.secrets"; echo "kind: Secret" ;;
  *"apply --filename -") cat >/dev/null ;;
esac
"""


@pytest.fixture
def tools(tmp_path):
    """Runs a script with recorders in place of docker, kind and kubectl; what it did, and how they were called."""
    bin_folder, calls = tmp_path / "bin", tmp_path / "calls"
    bin_folder.mkdir()
    for name in ("docker", "kind", "kubectl"):
        (bin_folder / name).write_text(RECORDER)
        (bin_folder / name).chmod(0o755)

    def run(script, *, cluster, images=True):
        calls.write_text("")
        environment = {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "HAVE_CLUSTER": str(int(cluster)),
            "HAVE_IMAGES": str(int(images)),
        }
        done = subprocess.run([KIND / script], capture_output=True, text=True, timeout=60, check=False, env=environment)
        return done, calls.read_text().splitlines()

    run.secrets = Path(f"{calls}.secrets")
    return run


def position(calls, *words):
    (found,) = [index for index, call in enumerate(calls) if all(word in call for word in words)]
    return found


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="NOT RUN: up.sh makes secrets by openssl")


@needs_openssl
def test_up_makes_a_cluster_loads_the_images_and_waits(tools):
    done, calls = tools("up.sh", cluster=False)
    assert done.returncode == 0, done.stderr
    assert "kind: ready" in done.stdout
    order = [
        position(calls, "kind create cluster", "deploy/kind/cluster.yaml"),
        position(calls, "kind load docker-image", "--name interlock", "interlock-ml:", "interlock-data:"),
        position(calls, "apply", "kubeflow-pipelines/cluster"),
        position(calls, "wait", "condition"),
        position(calls, "apply", "kubeflow-pipelines/platform"),
        position(calls, "apply", "base/namespace.yaml"),
        position(calls, "create secret", "--namespace kubeflow"),
        position(calls, "apply", "overlays/kind"),
        position(calls, "rollout status", "deployment/emulator"),
        position(calls, "rollout status", "deployment/ml-pipeline-ui"),
    ]
    assert order == sorted(order)
    secrets = tools.secrets.read_text()
    assert secrets.count("token=") == 2  # the same in both namespaces, and on no command line
    assert len(set(secrets.splitlines())) == 2
    token = secrets.splitlines()[0].removeprefix("token=")
    assert len(token) == 48
    assert token not in "".join(calls)


@needs_openssl
def test_up_again_keeps_cluster_and_secrets(tools):
    done, calls = tools("up.sh", cluster=True)
    assert done.returncode == 0, done.stderr
    assert not [call for call in calls if "create cluster" in call]
    assert set(tools.secrets.read_text().split()) == {"token=kept", "password=kept"}


@needs_openssl
def test_without_images_nothing_is_touched(tools):
    done, calls = tools("up.sh", cluster=False, images=False)
    assert done.returncode == 1
    assert "run make images" in done.stderr
    assert all(call.startswith("docker image inspect") for call in calls)


@needs_openssl
@pytest.mark.parametrize("script", ["up.sh", "down.sh"])
def test_no_other_cluster_is_ever_touched(tools, script):
    _, calls = tools(script, cluster=True)
    assert calls
    for call in calls:
        if call.startswith("kubectl "):
            assert call.startswith("kubectl --context kind-interlock "), call
        if call.startswith(("kind create", "kind delete", "kind load")):
            assert "--name interlock" in call or "cluster.yaml" in call, call
    assert yaml.safe_load((KIND / "cluster.yaml").read_text())["name"] == "interlock"


def parameters(pipeline, config):
    command = [sys.executable, KIND / "parameters.py", pipeline, config, "", "2013-07-01"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("pipeline", ["training", "deployment", "monitoring"])
def test_parameters_survive_the_kfp_command_line(pipeline):
    """The client reads JSON where it can: without quotes a place would arrive as a mapping, and be refused."""
    done = parameters(pipeline, ROOT / "examples/flights/config.yaml")
    assert done.returncode == 0, done.stderr
    pairs = dict(argument.split("=", 1) for argument in done.stdout.split("\0") if argument)
    values = {name: parse_parameter_value(text) for name, text in pairs.items()}
    assert all(isinstance(value, str) for value in values.values())
    assert values["config"] == (ROOT / "examples/flights/config.yaml").read_text()
    assert parse_place(values["place"]) == parse_place((KIND / "place.json").read_text())
    template = next(yaml.safe_load_all((ROOT / f"deploy/templates/kubernetes/{pipeline}.yaml").read_text()))
    declared = template["root"]["inputDefinitions"]["parameters"]
    assert set(values) <= set(declared)
    assert {name for name, about in declared.items() if not about.get("isOptional")} <= set(values)


def test_a_table_that_no_pod_can_see_is_refused(tmp_path):
    config = yaml.safe_load((ROOT / "examples/flights/config.yaml").read_text())
    config["source"]["table"] = "flights.csv"
    config["validation"].pop("schema")
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    done = parameters("training", tmp_path / "config.yaml")
    assert done.returncode == 1
    assert "table flights.csv is on this machine" in done.stderr
    assert done.stdout == ""


def test_forwards_end_with_what_they_were_opened_for(tmp_path):
    """open.sh COMMAND: the command runs once the page answers, and no port-forward is left behind."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "kubectl").write_text(
        f"""#!/usr/bin/env bash
echo $$ >>{tmp_path}/pids
for word in "$@"; do
  case $word in *:80) exec {sys.executable} -m http.server --bind 127.0.0.1 "${{word%:80}}" ;; esac
done
exec sleep 60
"""
    )
    (tmp_path / "kubectl").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PORT": str(port)}
    command = [KIND / "open.sh", "sh", "-c", "echo ran; exit 7"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment)
    assert done.returncode == 7, done.stderr
    assert done.stdout.index(f"http://127.0.0.1:{port}") < done.stdout.index("ran")
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 4
    deadline = time.monotonic() + 10
    while running := [pid for pid in pids if _runs(pid)]:
        assert time.monotonic() < deadline, f"left behind: {running}"
        time.sleep(0.05)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except FileNotFoundError:
        return False
