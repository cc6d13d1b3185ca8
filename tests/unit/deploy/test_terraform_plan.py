"""Terraform itself validates and plans deploy/terraform, without the provider.

What stands in for it is deploy/terraform/check/provider.py, with the schema of the real one (`make terraform` installs
that); without it these tests are skipped.
"""

import base64
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from interlock.config import parse_config
from interlock.contracts import parse_place

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "terraform"


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Terraform itself, on a copy, with deploy/terraform/check/provider.py: plans an environment, as JSON."""
    python = ROOT / ".venv" / "terraform" / "bin" / "python"
    if not python.exists():
        pytest.skip("no schema of the provider here (make terraform): validate and plan are NOT run")
    program = shutil.which("terraform") or shutil.which("tofu")
    if program is None:
        pytest.skip("neither terraform nor tofu is installed: validate and plan are NOT run")
    root = tmp_path_factory.mktemp("terraform")
    shutil.copytree(FOLDER, root / "deploy" / "terraform", ignore=shutil.ignore_patterns(".terraform*", "__pycache__"))
    shutil.copytree(ROOT / "examples", root / "examples")
    folder, socket = root / "deploy" / "terraform", root / "provider.sock"
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    text = "\n".join(path.read_text() for path in FOLDER.glob("*.tf"))
    blocks = re.findall(r'^(resource|data) "(google_\w+)"', text, re.MULTILINE)
    kinds = {name if kind == "resource" else f"data.{name}" for kind, name in blocks}
    command = [python, FOLDER / "check" / "provider.py", socket, *sorted(kinds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as provider:
        assert provider.stdout.readline() == "ready\n"
        attach = {"Protocol": "grpc", "ProtocolVersion": 6, "Pid": provider.pid, "Test": True}
        attach["Addr"] = {"Network": "unix", "String": str(socket)}
        variables = os.environ | {"TF_REATTACH_PROVIDERS": json.dumps({"hashicorp/google": attach})}

        def run(*arguments):
            done = subprocess.run(
                [program, *arguments],
                cwd=folder,
                env=variables,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        def plan(environment, **values):
            given = [f"-var={name}={value}" for name, value in ({"project": f"acme-{environment}"} | values).items()]
            run("plan", "-input=false", f"-out={root / 'plan'}", f"-var-file=environments/{environment}.tfvars", *given)
            return json.loads(run("show", "-json", str(root / "plan")))

        run("init", "-input=false")
        plan.validate = lambda: run("validate")
        yield plan
        provider.stdin.close()
        provider.wait(timeout=20)


def made(plan, kind):
    """Name -> planned values of every resource of a kind."""
    found = plan["planned_values"]["root_module"]["resources"]
    return {one["address"]: one["values"] for one in found if one["type"] == kind}


def test_terraform_validates_it(planned):
    assert "The configuration is valid" in planned.validate()


FULL = {
    "repository": "projects/p/locations/us-central1/connections/c/repositories/r",
    "billing_account": "000000-000000-000000",
    "alert_email": "you@example.com",
    "access_policy": "123",
    "private_endpoint_projects": '["other"]',
    "source_datasets": '["shop"]',
}


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_each_environment_is_planned(planned, environment, documented_grants):
    plan = planned(environment, **FULL)
    triggers = made(plan, "google_cloudbuild_trigger")
    assert len(triggers) == 4
    tag = triggers["google_cloudbuild_trigger.tag[0]"]
    assert tag["approval_config"] == [{"approval_required": environment == "prod"}]
    release = "refs/tags/v0.1.0" if environment == "prod" else "refs/heads/main"
    assert triggers["google_cloudbuild_trigger.staged[0]"]["git_file_source"][0]["revision"] == release
    for name, bucket in made(plan, "google_storage_bucket").items():
        assert bucket["force_destroy"] == (environment == "dev"), name
    accounts = {one["account_id"] for one in made(plan, "google_service_account").values()}
    assert accounts == set(documented_grants)


def test_grants_are_what_the_guide_says(planned, documented_grants):
    """After Terraform has evaluated every loop."""
    plan = planned("dev")
    kinds = {"project": "google_project_iam_member", "bucket": "google_storage_bucket_iam_member"}
    for column, kind in kinds.items():
        found = {}
        for one in made(plan, kind).values():
            account = re.search(r"serviceAccount:(interlock-\w+)@acme-dev", one.get("member") or "")
            if account:
                found.setdefault(account.group(1), set()).add(one["role"])
        assert found == {name: row[column] for name, row in documented_grants.items() if row[column]}
    acting = made(plan, "google_service_account_iam_member").values()
    assert len(acting) == sum(len(row["acts as"]) for row in documented_grants.values())


def test_the_schedule_submits_what_the_pipeline_takes(planned):
    plan = planned("prod")
    job = next(iter(made(plan, "google_cloud_scheduler_job").values()))["http_target"][0]
    body = json.loads(base64.b64decode(job["body"]))
    given = body["runtimeConfig"]["parameterValues"]
    parse_config(given["config"])
    place = parse_place(given["place"])
    assert place.service_account == body["serviceAccount"] == "interlock-monitoring@acme-prod.iam.gserviceaccount.com"
    assert place.bucket == "acme-prod-interlock"
    takes = yaml.safe_load((ROOT / "deploy/templates/vertex/monitoring.yaml").read_text())
    assert set(given) <= set(takes["root"]["inputDefinitions"]["parameters"])
    assert body["templateUri"].endswith(f"/{takes['pipelineInfo']['name']}/v0.1.0")


def test_the_places_are_places(planned):
    places = planned("dev")["planned_values"]["outputs"]["places"]["value"]
    assert set(places) == {"training", "deployment", "monitoring"}
    for name, text in places.items():
        assert parse_place(text).service_account == f"interlock-{name}@acme-dev.iam.gserviceaccount.com"


def test_the_views_name_tables_that_are_there(planned):
    plan = planned("dev")
    tables = {f"acme-dev.{one['dataset_id']}.{one['table_id']}" for one in made(plan, "google_bigquery_table").values()}
    for one in made(plan, "google_bigquery_table").values():
        for view in one["view"]:
            assert set(re.findall(r"`([^`]+)`", re.sub(r"--.*", "", view["query"]))) <= tables
            assert "${" not in view["query"]
