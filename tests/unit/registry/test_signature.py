"""A version is signed and checked: whole, changed, foreign, forged, unsigned."""

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest
import requests
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from interlock.config import parse_config
from interlock.contracts import ModelSignature, Place, read_contract, write_contract
from interlock.errors import ConfigError, EnvironmentProblem, GateFailed
from interlock.registry.signature import FILE, sign_folder, verify_folder
from interlock.vertex.keys import read_secret, read_signing_key

CLOUD = Place(project="p", location="us-central1", bucket="b", warehouse="sqlite://")
LAPTOP = msgspec.structs.replace(CLOUD, api_endpoint="http://127.0.0.1:1")


def pair(kind=ed25519.Ed25519PrivateKey):
    """A private and a public key, as PEM."""
    private = kind.generate() if kind is ed25519.Ed25519PrivateKey else ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem, public.decode()


@pytest.fixture
def version(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"a model")
    (tmp_path / "manifest.json").write_text("{}")
    (tmp_path / "gate_report.json").write_text("{}")
    return tmp_path


def test_what_is_signed_is_accepted(version):
    private, public = pair()
    signed = sign_folder(version, private, [public])
    assert set(signed.files) == {"model.onnx", "manifest.json", "gate_report.json"}
    assert verify_folder(version, [pair()[1], public], "version 1") == signed.key


def test_signing_twice_is_the_same_signature(version):
    private, _ = pair()
    assert sign_folder(version, private) == sign_folder(version, private)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "gate_report.json"])
def test_a_changed_file_is_named(version, name):
    private, public = pair()
    sign_folder(version, private)
    (version / name).write_text("another")
    with pytest.raises(GateFailed, match=rf"version 1: {name} changed after it was signed"):
        verify_folder(version, [public], "version 1")


def test_a_file_more_or_less_is_named(version):
    private, public = pair()
    sign_folder(version, private)
    (version / "more.json").write_text("")
    (version / "gate_report.json").unlink()
    with pytest.raises(GateFailed, match=r"gate_report\.json, more\.json changed"):
        verify_folder(version, [public], "version 1")


def test_unsigned_and_foreign_are_refused(version):
    _, public = pair()
    with pytest.raises(GateFailed, match="version 1 is not signed"):
        verify_folder(version, [public], "version 1")
    stranger, _ = pair()
    sign_folder(version, stranger)
    with pytest.raises(GateFailed, match=r"version 1 is signed by [0-9a-f]{16}, accepted are [0-9a-f]{16}"):
        verify_folder(version, [public], "version 1")


def test_a_strangers_signature_under_our_name_is_refused(version):
    """Who rewrites the files also rewrites the digests and the key's name; what is missing is the key."""
    private, public = pair()
    ours = sign_folder(version, private)
    (version / "model.onnx").write_bytes(b"a bad model")
    forged = sign_folder(version, pair()[0])
    write_contract(msgspec.structs.replace(forged, key=ours.key), version / FILE)
    with pytest.raises(GateFailed, match="forged or broken"):
        verify_folder(version, [public], "version 1")
    write_contract(msgspec.structs.replace(forged, key=ours.key, value="not base64!"), version / FILE)
    with pytest.raises(GateFailed, match="forged or broken"):
        verify_folder(version, [public], "version 1")


def test_a_signature_is_for_these_file_names(version):
    private, public = pair()
    signed = sign_folder(version, private)
    swapped = signed.files | {"model.onnx": signed.files["manifest.json"], "manifest.json": signed.files["model.onnx"]}
    write_contract(msgspec.structs.replace(signed, files=swapped), version / FILE)
    one, other = (version / "model.onnx").read_bytes(), (version / "manifest.json").read_bytes()
    (version / "model.onnx").write_bytes(other)
    (version / "manifest.json").write_bytes(one)
    with pytest.raises(GateFailed, match="forged or broken"):
        verify_folder(version, [public], "version 1")


def test_a_key_that_nobody_would_accept_signs_nothing(version):
    with pytest.raises(ConfigError, match="no deployment would accept"):
        sign_folder(version, pair()[0], [pair()[1]])
    assert not (version / FILE).exists()


@pytest.mark.parametrize("pem", [b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_broken_key(version, pem):
    with pytest.raises(ConfigError, match=r"signing\.private_key cannot be read"):
        sign_folder(version, pem)


def test_another_kind_of_key(version):
    private, public = pair(ec.EllipticCurvePrivateKey)
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        sign_folder(version, private)
    sign_folder(version, pair()[0])
    with pytest.raises(ConfigError, match="not an Ed25519 key"):
        verify_folder(version, [public], "version 1")


def test_keys_of_openssl(version, tmp_path_factory):
    """The commands that the messages and the guide name."""
    file = tmp_path_factory.mktemp("keys") / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(file)], check=True)
    done = subprocess.run(["openssl", "pkey", "-in", str(file), "-pubout"], check=True, capture_output=True, text=True)
    file.chmod(0o600)
    private = read_signing_key(LAPTOP, str(file))
    assert private is not None
    sign_folder(version, private, [done.stdout])
    assert verify_folder(version, [done.stdout], "version 1")
    assert read_contract(version / FILE, ModelSignature).value


# --- where keys come from ------------------------------------------------------------------------------------------


def test_no_key_signs_nothing():
    assert read_signing_key(LAPTOP, "") is None


def test_a_key_file_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "key.pem"
    file.write_bytes(pair()[0])
    file.chmod(0o644)
    with pytest.raises(EnvironmentProblem, match=r"mode 644\): chmod 600"):
        read_signing_key(LAPTOP, str(file))
    with pytest.raises(EnvironmentProblem, match="No such file"):
        read_signing_key(LAPTOP, str(tmp_path / "none.pem"))


def test_secret_manager_is_not_on_a_laptop():
    with pytest.raises(ConfigError, match="no Secret Manager"):
        read_signing_key(LAPTOP, "projects/p/secrets/s/versions/1")


class Secrets(BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path == "/v1/projects/p/secrets/s/versions/1:access"
        self.send_response(200 if found else 403)
        self.end_headers()
        self.wfile.write(b'{"name": "s", "payload": {"data": "YSBrZXk="}}' if found else b"{}")

    def log_message(self, *arguments):
        pass


def test_a_secret_is_read_and_a_refusal_says_which_role():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Secrets)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        assert read_secret("projects/p/secrets/s/versions/1", requests.Session(), address) == b"a key"
        with pytest.raises(EnvironmentProblem, match=r"403; .*secretAccessor"):
            read_secret("projects/p/secrets/other/versions/1", requests.Session(), address)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- the config ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signing", "message"),
    [
        ({"private_key": "key.pem"}, r"signing\.private_key"),
        ({"public_keys": ["ssh-ed25519 AAAA"]}, r"signing\.public_keys"),
        ({"require_signature": True}, "needs at least one"),
        ({"key": "x"}, "key"),
    ],
)
def test_impossible_settings(signing, message):
    with pytest.raises(ConfigError, match=message):
        config(signing)


def test_keys_are_asked_for_only_where_the_config_says_so():
    _, public = pair()
    assert config({"public_keys": [public]}).signing.must_have_signed == []
    assert config({"public_keys": [public], "require_signature": True}).signing.must_have_signed == [public]


def config(signing):
    text = (Path(__file__).parents[3] / "examples/flights/config.yaml").read_text()
    return parse_config(yaml.safe_dump(yaml.safe_load(text) | {"signing": signing}))
