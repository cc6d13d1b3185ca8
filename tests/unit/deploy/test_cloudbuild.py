"""The Cloud Build files are what Cloud Build reads, run what a laptop runs, in order, and carry no secret."""

import json
import re
from pathlib import Path

import pytest
import yaml
from google.cloud.devtools.cloudbuild_v1 import Build

ROOT = Path(__file__).parents[3]
FILES = [ROOT / "cloudbuild.yaml", *sorted((ROOT / "deploy" / "cloudbuild").glob("*.yaml"))]
MAKEFILE = (ROOT / "Makefile").read_text()
VERBS = re.findall(r"^([a-z][a-z0-9-]*):", MAKEFILE, re.MULTILINE)
IDENTITIES = (ROOT / "deploy" / "terraform" / "identities.tf").read_text()

# What Cloud Build itself fills in, where the trigger has it.
GIVEN = {"PROJECT_ID", "COMMIT_SHA", "BRANCH_NAME", "TAG_NAME"}
ACCOUNT = {"cloudbuild.yaml": "ci", "pr.yaml": "pr", "promote.yaml": "release", "release.yaml": "release"}
PROOF = ["check", "unit", "contract", "images", "test-containers", "compile", "end-to-end"]
STEPS = {
    "cloudbuild.yaml": ["setup", *PROOF, "sbom", "push-images", "push-templates", "submit-training"],
    "pr.yaml": ["setup", *PROOF],
    "promote.yaml": ["setup", "submit-deployment"],
    "release.yaml": ["release-check", "setup", *PROOF, "sbom", "push-images", "push-templates"],
}
GOOGLE_CLOUD = {"push-images", "push-templates", "submit-training", "submit-deployment"}


@pytest.fixture(params=FILES, ids=lambda path: path.name)
def path(request):
    return request.param


@pytest.fixture
def build(path):
    """The file as Cloud Build's own message; a field it does not know is an error here as there."""
    return Build.from_json(json.dumps(yaml.safe_load(path.read_text())))


def test_all_files_are_known():
    assert {path.name for path in FILES} == set(STEPS)


def test_an_unknown_field_would_be_found():
    with pytest.raises(Exception, match="entryPoint"):
        Build.from_json(json.dumps({"steps": [{"name": "a", "entryPoint": "make"}]}))


def test_nothing_is_lost_in_cloud_builds_message(path, build):
    raw = yaml.safe_load(path.read_text())
    assert [(step.id, list(step.args), list(step.env)) for step in build.steps] == [
        (step["id"], step["args"], step.get("env", [])) for step in raw["steps"]
    ]
    assert dict(build.substitutions) == raw["substitutions"]
    assert build.timeout.total_seconds() == float(raw["timeout"].removesuffix("s"))
    assert build.options.logging == build.options.LoggingMode.CLOUD_LOGGING_ONLY  # a service account needs this


def test_every_step_is_a_make_verb(build):
    for step in build.steps:
        assert step.entrypoint == "make"
        verbs = set(step.args) | {pair.removeprefix("VERB=") for pair in step.env if pair.startswith("VERB=")}
        assert step.id in verbs
        assert verbs <= set(VERBS), f"{step.id}: the Makefile has no {verbs - set(VERBS)}"


def test_order(path, build):
    """Cheap before dear, nothing is pushed before all is proved, and each step waits for the one before."""
    assert [step.id for step in build.steps] == STEPS[path.name]
    for before, step in zip(build.steps, build.steps[1:], strict=False):
        assert list(step.wait_for) == [before.id]


def test_steps_cover_every_test_folder():
    for folder in (ROOT / "tests").iterdir():
        if folder.is_dir() and not folder.name.startswith("_") and any(folder.rglob("test_*.py")):
            assert f"tests/{folder.name}" in MAKEFILE + _container_runner(), f"no step runs tests/{folder.name}"


def _container_runner():
    return "".join(path.read_text() for path in (ROOT / ".ci").iterdir() if path.is_file())


def test_substitutions_are_declared_and_used(path):
    text = re.sub(r"(?m)(^|\s)#.*$", "", path.read_text())
    used = set(re.findall(r"\$\{?([A-Z_]+)", text))
    declared = set(yaml.safe_load(text)["substitutions"])
    assert {name for name in used if name.startswith("_")} == declared
    assert {name for name in used if not name.startswith("_")} <= GIVEN
    if any("$" in value for value in yaml.safe_load(text)["substitutions"].values()):
        assert yaml.safe_load(text)["options"]["dynamicSubstitutions"] is True


def test_images_are_pinned_by_digest_or_by_substitution(build):
    for step in build.steps:
        assert re.fullmatch(r"\$\{_[A-Z_]+\}|[^:]+@sha256:[0-9a-f]{64}", step.name), step.name


def test_no_secret(path, build):
    assert not build.available_secrets.secret_manager
    assert not build.secrets
    assert not any(step.secret_env for step in build.steps)
    assert not re.search(r"password|token|private_key|BEGIN [A-Z ]*KEY", path.read_text(), re.IGNORECASE)


def test_each_build_has_an_identity_of_its_own(path, build):
    account = re.search(r"/serviceAccounts/interlock-([a-z]+)@", build.service_account)[1]
    assert account == ACCOUNT[path.name]
    role = re.search(rf"\b{account} = \{{(.*?)\n    \}}", IDENTITIES, re.DOTALL)
    assert role, f"deploy/terraform/identities.tf has no account {account}"
    assert not re.search(r"roles/(owner|editor)|admin", role[1], re.IGNORECASE)


def test_untrusted_code_pushes_and_submits_nothing():
    build = Build.from_json(json.dumps(yaml.safe_load((ROOT / "deploy/cloudbuild/pr.yaml").read_text())))
    assert not build.images
    assert not build.artifacts
    assert not GOOGLE_CLOUD & {verb for step in build.steps for verb in step.args}
    assert "PROJECT_ID" not in "".join("".join(step.env) for step in build.steps)


@pytest.mark.parametrize("name", ["cloudbuild.yaml", "deploy/cloudbuild/release.yaml"])
def test_provenance_is_asked_for_what_is_pushed(name):
    build = Build.from_json(json.dumps(yaml.safe_load((ROOT / name).read_text())))
    assert build.options.requested_verify_option == build.options.VerifyOption.VERIFIED
    script = (ROOT / "deploy/cloudbuild/push-images.sh").read_text()
    pushed = re.search(r"for name in (.*); do", script)[1].split()
    tag = next(
        pair for step in build.steps for pair in step.env if pair.startswith("TAG=") and step.id == "push-images"
    )
    assert sorted(build.images) == sorted(f"${{_IMAGES}}/{image}:{tag.removeprefix('TAG=')}" for image in pushed)
