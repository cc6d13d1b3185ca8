"""Bills of material and audit: by the real tools where their environment is, never a clean bill without evidence."""

import importlib.util
import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TOOLS = ROOT / ".venv" / "tools" / "bin" / "python"
AUDIT = ROOT / "deploy" / "supply-chain" / "audit.py"
needs_tools = pytest.mark.skipif(not TOOLS.exists(), reason="make sbom or make audit builds .venv/tools: NOT checked")

spec = importlib.util.spec_from_file_location("audit", AUDIT)
audit = importlib.util.module_from_spec(spec)
spec.loader.exec_module(audit)


def test_vulnerable_and_unknown_packages_are_told_apart():
    bad, skipped = audit.findings(
        [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["2.1"]}]},
            {"name": "c", "version": "3", "vulns": [{"id": "X-2", "fix_versions": []}]},
            {"name": "d", "skip_reason": "not found"},
        ]
    )
    assert bad == ["b 2: X-1, mended in 2.1", "c 3: X-2, mended in no release"]
    assert skipped == ["d"]


def test_every_image_has_its_lock():
    dockerfile = ROOT / "deploy" / "images" / "Dockerfile"
    named = {path.stem for path in (ROOT / "requirements").glob("*.lock") if f"{path.name}" in dockerfile.read_text()}
    assert named <= {*audit.IMAGES, "kfp", "build", "bootstrap"}, "an image is built from a lock that nobody audits"


def test_locks_are_hashed_and_name_no_index():
    for lock in (ROOT / "requirements").glob("*.lock"):
        lines = lock.read_text().splitlines()
        pins = [i for i, line in enumerate(lines) if "==" in line and not line.startswith((" ", "#"))]
        assert pins, lock
        for i in pins:
            assert "--hash=sha256:" in lines[i + 1], f"{lock.name}: {lines[i]}"
        assert not any(line.startswith(("--index", "--extra-index", "-i ")) for line in lines), lock


class Advisories(BaseHTTPRequestHandler):
    """An OSV API that knows of one old release, and of ``leaky``."""

    knows = True

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = asked["package"]["name"]
        found = {"vulns": [ADVISORY]} if self.knows and name in {"urllib3", "leaky"} else {}
        body = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Empty(Advisories):
    """An OSV API that answers, and has no data."""

    knows = False


ADVISORY = {
    "id": "GHSA-0000-0000-0000",
    "summary": "leaks",
    "details": "leaks",
    "aliases": [],
    "modified": "2024-01-01T00:00:00Z",
    "published": "2024-01-01T00:00:00Z",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.9"}]}],
            "versions": ["1.26.4", "1.0"],
        }
        for name in ("urllib3", "leaky")
    ],
}


@pytest.fixture
def serve():
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/v1/query"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*arguments):
    done = subprocess.run([TOOLS, AUDIT, *arguments], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@needs_tools
def test_a_vulnerable_package_fails_the_audit(serve, tmp_path):
    url = serve(Advisories)
    (tmp_path / "bad.lock").write_text("leaky==1.0\nsound==2.0\n")
    (tmp_path / "good.lock").write_text("sound==2.0\n")
    status, said = run("--osv-url", url, str(tmp_path / "bad.lock"))
    assert status == 1
    assert "bad.lock: leaky 1.0: " in said
    assert "mended in 9.9" in said
    assert "1 vulnerabilities in 2 packages" in said
    status, said = run("--osv-url", url, str(tmp_path / "good.lock"))
    assert status == 0
    assert "0 vulnerabilities in 1 packages" in said


@needs_tools
def test_a_source_without_data_is_not_believed(serve, tmp_path):
    (tmp_path / "bad.lock").write_text("leaky==1.0\n")
    status, said = run("--osv-url", serve(Empty), str(tmp_path / "bad.lock"))
    assert status == 0
    assert "SKIPPED, NOTHING WAS LOOKED AT" in said
    assert "it has no data" in said
    status, _ = run("--osv-url", "http://127.0.0.1:9/", "--require", str(tmp_path / "bad.lock"))
    assert status == 1


@needs_tools
def test_a_bill_of_material_has_every_pin_and_its_hashes(tmp_path):
    lock = ROOT / "requirements" / "serve.lock"
    command = [
        TOOLS.with_name("cyclonedx-py"),
        "requirements",
        lock,
        "--output-reproducible",
        "-o",
        tmp_path / "serve.json",
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    bill = json.loads((tmp_path / "serve.json").read_text())
    pins = {line.partition("==")[0].partition("[")[0] for line in lock.read_text().splitlines() if "==" in line[:60]}
    pins = {name for name in pins if name and not name.startswith((" ", "#"))}
    assert {one["name"] for one in bill["components"]} == pins
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])
