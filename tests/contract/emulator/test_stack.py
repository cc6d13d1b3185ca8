"""``interlock up`` and ``down``, the printed environment, and the fixtures for other people's tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.errors import EnvironmentProblem
from interlock.local import stack

SNIPPET = """
import os
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
aiplatform.init(project=os.environ["INTERLOCK_PROJECT"], location=os.environ["INTERLOCK_LOCATION"],
    api_endpoint=os.environ["INTERLOCK_API_ENDPOINT"], api_transport="rest",
    staging_bucket=os.environ["INTERLOCK_STAGING_BUCKET"], credentials=AnonymousCredentials())
model = aiplatform.Model.upload(display_name="alone", artifact_uri=os.environ["ARTIFACT"],
    serving_container_image_uri="interlock-ml")
print(aiplatform.Model.list(filter='display_name="alone"')[0].uri)
"""


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """A running stack."""
    state = tmp_path_factory.mktemp("stack")
    stack.up(state)
    yield state
    stack.down(state)


def interlock(*arguments, **variables):
    command = [sys.executable, "-c", "from interlock.cli import main; main()", *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environment)


def test_a_second_up_finds_what_runs(state):
    first = stack.require_place(state)
    pid = (state / "emulator.process.json").read_bytes()
    assert stack.up(state) == first
    assert (state / "emulator.process.json").read_bytes() == pid


def test_the_plain_client_works_in_the_printed_environment(state, tmp_path):
    (tmp_path / "artifact").mkdir()
    (tmp_path / "artifact" / "model.onnx").write_bytes(b"x")
    (tmp_path / "snippet.py").write_text(SNIPPET)
    script = f'eval "$({sys.executable} -c "from interlock.cli import main; main()" up --state {state} --print-env)"'
    done = subprocess.run(
        ["sh", "-ec", f"{script}\n{sys.executable} {tmp_path / 'snippet.py'}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "ARTIFACT": str(tmp_path / "artifact")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith("gs://interlock/")


def test_the_snippet_is_the_one_in_the_documentation():
    page = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text()
    for line in ("from google.auth.credentials import AnonymousCredentials", 'api_transport="rest"'):
        assert line in page
        assert line in SNIPPET
    for name in stack.variables(stack.Place(project="p", location="l", bucket="b", warehouse="")):
        assert name in page or name in ("STORAGE_EMULATOR_HOST", "NO_GCE_CHECK")


def test_another_runner_than_the_running_one_is_refused(state):
    refused = interlock("up", "--state", str(state), "--runner", "docker")
    assert refused.returncode == 1
    assert "runs with --runner process: `interlock down` first" in refused.stderr


def test_docker_as_runner_needs_a_daemon(tmp_path):
    nowhere = f"unix://{tmp_path}/nowhere.sock"
    refused = interlock("up", "--state", str(tmp_path / "state"), "--runner", "docker", DOCKER_HOST=nowhere)
    assert refused.returncode == 1
    assert "docker is not installed here" in refused.stderr or "no Docker daemon answers" in refused.stderr
    assert stack.running_place(tmp_path / "state") is None


def test_up_replaces_a_dead_emulator_and_keeps_its_state(state):
    before = stack.require_place(state)
    pid = int((state / "emulator.json").read_text().partition('"pid":')[2].partition(",")[0])
    os.kill(pid, signal.SIGKILL)
    after = stack.up(state)
    assert after.api_endpoint != before.api_endpoint
    assert stack.require_place(state) == after


def test_a_port_in_use_is_one_line(state, tmp_path):
    port = stack.require_place(state).api_endpoint.rpartition(":")[2]
    refused = interlock("up", "--state", str(tmp_path / "other"), "--port", port)
    assert refused.returncode == 1
    assert len(refused.stderr.strip().splitlines()) == 1
    assert f"cannot bind 127.0.0.1:{port}" in refused.stderr
    assert stack.down(tmp_path / "other") == []  # the storage emulator that had started was ended


def test_a_state_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        stack.up(tmp_path / "file" / "state")


def test_down_leaves_processes_it_did_not_start(tmp_path):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "storage.json").write_text(f'{{"pid": {sleeper.pid}, "started": "1", "port": 1}}')
        (tmp_path / "emulator.process.json").write_text("not json")
        assert stack.down(tmp_path) == []
        assert sleeper.poll() is None
        assert not (tmp_path / "storage.json").exists()
    finally:
        sleeper.kill()
        sleeper.wait()


def test_down_ends_both_and_twice_is_harmless(tmp_path):
    stack.up(tmp_path)
    assert sorted(stack.down(tmp_path)) == ["emulator", "storage"]
    assert stack.down(tmp_path) == []
    with pytest.raises(EnvironmentProblem, match="interlock up"):
        stack.require_place(tmp_path)


def test_fixtures_for_other_projects(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["interlock.testing"]\n')
    (tmp_path / "test_mine.py").write_text(
        "def test_upload(aiplatform, vertex):\n"
        "    model = aiplatform.Model.upload(display_name='m', serving_container_image_uri='interlock-ml')\n"
        "    assert aiplatform.Model.list(filter='display_name=\"m\"')[0].name == model.name\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_remote_listening_needs_a_token_and_asks_for_it(new_emulator):
    token = "0123456789abcdef"
    emulator = new_emulator("--host", "0.0.0.0", "--allow-remote", INTERLOCK_TOKEN=token)
    emulator.url = f"http://127.0.0.1:{emulator.ready['port']}"
    assert emulator.request("GET", "models")[0] == 401
    assert emulator.request("GET", "models", headers={"authorization": f"Bearer {token}"})[0] == 200
    assert emulator.request("GET", "models", headers={"x-goog-api-key": token})[0] == 200
    assert emulator.request("GET", "models", headers={"authorization": "Bearer wrong"})[0] == 401
    assert emulator.health() == {"status": "ok"}  # a probe has no token, and learns nothing else
    refused = emulator.run_again("--host", "0.0.0.0", "--allow-remote", INTERLOCK_TOKEN="short")
    assert refused.returncode == 2
    assert "INTERLOCK_TOKEN" in refused.stderr


def test_our_own_clients_send_the_token(new_emulator):
    token = "0123456789abcdef"
    emulator = new_emulator(INTERLOCK_TOKEN=token)
    program = (
        "from interlock.contracts import Place\n"
        "from interlock.vertex.client import parent, sdk, service\n"
        f"place = Place(project='demo-project', location='us-central1', bucket='b', warehouse='sqlite://',\n"
        f"    api_endpoint={emulator.url!r}, storage_endpoint='http://127.0.0.1:1')\n"
        "print(len(list(service(place, 'Model').list_models(parent=parent(place)))), len(sdk(place).Endpoint.list()))\n"
    )

    def run(**variables):
        environment = {name: text for name, text in os.environ.items() if name != "INTERLOCK_TOKEN"}
        command = [sys.executable, "-c", program]
        return subprocess.run(
            command, env=environment | variables, capture_output=True, text=True, timeout=60, check=False
        )

    assert run(INTERLOCK_TOKEN=token).stdout == "0 0\n"
    assert "refuses this token: set INTERLOCK_TOKEN" in run(INTERLOCK_TOKEN="wrong-wrong-wrong").stderr
    refused = run()
    assert refused.returncode == 1
    assert "refuses requests without a token: set INTERLOCK_TOKEN" in refused.stderr
