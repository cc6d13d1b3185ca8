"""Templates are published with images by digest, or not at all."""

import http.server
import threading
from pathlib import Path

import pytest
import yaml
from interlock.components import images

from interlock.commands.templates import compile_all, publish
from interlock.errors import ConfigError, EnvironmentProblem
from interlock.local.images import read_references, resolve, unresolved
from interlock.submission import PIPELINES

ROOT = Path(__file__).parents[2]
ACCEPTED = ROOT / "deploy" / "templates"
SETTINGS = ACCEPTED / "kubernetes.yaml"
DIGESTS = {
    f"interlock-{name}": f"host/p/interlock-{name}@sha256:{digit * 64}"
    for name, digit in zip(("ml", "data", "serve"), "123", strict=True)
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("templates")
    compile_all(folder, images=None, kubernetes=SETTINGS)
    return folder


@pytest.fixture
def references(tmp_path):
    path = tmp_path / "images.yaml"
    path.write_text(yaml.safe_dump({**DIGESTS, "interlock-emulator": "host/p/interlock-emulator@sha256:" + "4" * 64}))
    return path


def test_published_templates_have_digests_and_nothing_else_is_different(references, compiled, tmp_path):
    compile_all(tmp_path / "out", images=references, kubernetes=SETTINGS)
    for name in PIPELINES:
        for variant in ("vertex", "kubernetes"):
            text = (tmp_path / "out" / variant / f"{name}.yaml").read_text()
            assert not unresolved(text)
            spec = next(yaml.safe_load_all(text))
            used = {executor["container"]["image"] for executor in spec["deploymentSpec"]["executors"].values()}
            assert used <= {DIGESTS["interlock-ml"], DIGESTS["interlock-data"]}
            back = text
            for image in (images.ML, images.DATA, images.SERVE):
                back = back.replace(DIGESTS[image.partition(":")[0]], image)
            assert next(yaml.safe_load_all(back)) == next(
                yaml.safe_load_all((compiled / variant / f"{name}.yaml").read_text())
            )
    training = yaml.safe_load((tmp_path / "out" / "vertex" / "training.yaml").read_text())
    # What the model is served by, and what the manifest says it was trained in, follow.
    serving = training["root"]["inputDefinitions"]["parameters"]["serving_image"]["defaultValue"]
    assert serving == DIGESTS["interlock-serve"]
    trained = training["root"]["dag"]["tasks"]["train-model"]["inputs"]["parameters"]["image"]
    assert trained["runtimeValue"]["constant"] == DIGESTS["interlock-ml"]


@pytest.mark.parametrize(
    "reference",
    ["interlock-ml:0.1.0", "host/p/interlock-ml:v1", "host/p/interlock-ml@sha256:123", "host/ml@md5:" + "1" * 64, ""],
)
def test_a_reference_that_is_not_a_digest_is_refused(tmp_path, reference):
    path = tmp_path / "images.yaml"
    path.write_text(yaml.safe_dump({**DIGESTS, "interlock-ml": reference}))
    with pytest.raises(ConfigError, match=r"interlock-ml is .* not by digest"):
        read_references(path)


def test_references_that_are_missing_or_unreadable_are_named(tmp_path):
    with pytest.raises(ConfigError, match="no reference for image interlock-data, interlock-serve"):
        resolve(f"{images.ML} {images.DATA} '{images.SERVE}'", {"interlock-ml": DIGESTS["interlock-ml"]})
    with pytest.raises(ConfigError, match="make push-images"):
        read_references(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("[a]")
    with pytest.raises(ConfigError, match="NAME: REFERENCE"):
        read_references(tmp_path / "list.yaml")


@pytest.mark.parametrize(
    "text", ["my-interlock-ml:0.1.0", "host/p/interlock-ml:0.1.0", "interlock-ml:0.1.0-rc", "interlock-mlx:0.1.0"]
)
def test_names_that_only_look_alike_are_left(text):
    assert unresolved(text) == []
    assert resolve(text, {}) == text
    assert unresolved(f"'{images.ML}'") == [images.ML]


def test_templates_without_digests_are_not_published():
    with pytest.raises(ConfigError, match=r"interlock-ml:.* is not by digest"):
        publish(ACCEPTED / "vertex", "https://registry.invalid", ["main"])
    with pytest.raises(ConfigError, match="has no templates"):
        publish(ROOT / "docs", "https://registry.invalid", ["main"])


class Registry:
    """A registry's upload address, as Artifact Registry documents it: a form with `tags` and `content`."""

    def __init__(self, status):
        received = self.received = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(status)
                self.end_headers()
                self.wfile.write(b"interlock-monitoring/sha256:abc" if status == 200 else b"no")

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def registry(request):
    registry = Registry(getattr(request, "param", 200))
    yield registry
    registry.close()


def test_publishing_uploads_every_template_with_its_tags(registry, references, tmp_path, capsys):
    compile_all(tmp_path / "out", images=references, kubernetes=None)
    publish(tmp_path / "out" / "vertex", registry.url, ["v0.1.0", "abc"])
    assert len(registry.received) == len(PIPELINES)
    for body in registry.received:
        assert "v0.1.0,abc" in body
        assert DIGESTS["interlock-ml"] in body
    assert f"{registry.url}/interlock-monitoring/v0.1.0  sha256:abc" in capsys.readouterr().out


@pytest.mark.parametrize("registry", [403], indirect=True)
def test_a_registry_that_refuses_is_an_error(registry, references, tmp_path):
    compile_all(tmp_path / "out", images=references, kubernetes=None)
    with pytest.raises(EnvironmentProblem, match=r"does not take deployment\.yaml: 403"):
        publish(tmp_path / "out" / "vertex", registry.url, ["v0.1.0"])
