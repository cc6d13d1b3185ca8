"""deploy/terraform as text: whole, least-privileged, formatted, and what the code reads and writes.

test_terraform_plan.py has Terraform itself judge it.
"""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import hcl2
import pytest
import yaml

from interlock.contracts import Place
from interlock.warehouse import metadata, request_response_log

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy" / "terraform"
FILES = sorted(FOLDER.glob("*.tf"))
ENVIRONMENTS = sorted((FOLDER / "environments").glob("*.tfvars"))
TEXT = "\n".join(path.read_text() for path in FILES)
CODE = re.sub(r"(?m)(^|\s)#.*$", "", TEXT)


def plain(value):
    """hcl2's value without its quotes and comments."""
    if isinstance(value, str):
        return value[1:-1] if value.startswith('"') else value
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {
            plain(key): plain(one) for key, one in value.items() if key not in {"__comments__", "__inline_comments__"}
        }
    return value


@cache
def parsed(kind):
    """Every block of ``kind``, as one dict per block."""
    return [block for path in FILES for block in plain(hcl2.loads(path.read_text())).get(kind, [])]


def resources():
    """(type, name, body) of every resource."""
    return [
        (kind, name, body)
        for block in parsed("resource")
        for kind, named in block.items()
        for name, body in named.items()
    ]


def locals_():
    return {name: value for block in parsed("locals") for name, value in block.items() if name != "__is_block__"}


def variables():
    return {name: body for block in parsed("variable") for name, body in block.items() if name != "__is_block__"}


# --- whole ---------------------------------------------------------------------------------------------------


def test_every_variable_is_described_typed_and_used():
    for name, body in variables().items():
        assert str(body.get("description", "")).endswith("."), f"variable {name} has no description that is a sentence"
        assert "type" in body, f"variable {name} has no type"
        uses = len(re.findall(rf"\bvar\.{name}\b", CODE))
        own = len(re.findall(rf"\bvar\.{name}\b", str(body)))
        assert uses > own, f"variable {name} is not used"


def test_every_reference_is_declared():
    known = {f"{kind}.{name}" for kind, name, _ in resources()}
    data = {f"data.{kind}.{name}" for block in parsed("data") for kind, named in block.items() for name in named}
    assert set(re.findall(r"\bvar\.(\w+)", CODE)) == set(variables())
    assert set(re.findall(r"\blocal\.(\w+)", CODE)) <= set(locals_())
    assert set(re.findall(r"\bdata\.google_\w+\.\w+", CODE)) <= data
    used = set(re.findall(r"(?<!data\.)(?<![\w.\"])google_\w+\.\w+", CODE))
    assert used <= known, used - known


def test_no_local_is_left_over():
    for name in locals_():
        assert re.search(rf"\blocal\.{name}\b", CODE), f"local {name} is not used"


def test_environments_set_declared_variables_only():
    assert [path.stem for path in ENVIRONMENTS] == ["dev", "prod", "staging"]
    for path in ENVIRONMENTS:
        values = plain(hcl2.loads(path.read_text()))
        assert set(values) <= set(variables()), path
        assert values["environment"] == path.stem
    needed = {name for name, body in variables().items() if "default" not in body}
    assert needed == {"project", "environment"}, "what has no default is asked for in docs/google-cloud.md"


def test_build_files_of_triggers_exist():
    named = set(re.findall(r"\"((?:deploy/)?cloudbuild[\w/.-]*\.yaml)\"", CODE))
    assert "cloudbuild.yaml" in named
    missing = [name for name in named if not (ROOT / name).exists()]
    assert not missing, missing


def test_triggers_give_what_the_build_files_take():
    """Cloud Build refuses a substitution that the file does not know."""
    for kind, name, body in resources():
        if kind == "google_cloudbuild_trigger":
            file = ROOT / (body.get("filename") or body["git_file_source"][0]["path"])
            unknown = set(body.get("substitutions", {})) - set(yaml.safe_load(file.read_text())["substitutions"])
            assert not unknown, f"{name} gives {unknown}, which {file.name} does not know"


def test_builds_run_as_the_account_of_their_trigger():
    for kind, name, body in resources():
        if kind == "google_cloudbuild_trigger":
            file = ROOT / (body.get("filename") or body["git_file_source"][0]["path"])
            account = re.search(r'stage\["(\w+)"\]', body["service_account"]).group(1)
            assert f"/interlock-{account}@" in yaml.safe_load(file.read_text())["serviceAccount"], name


def test_a_place_of_the_builds_is_a_place_of_terraform():
    """deploy/cloudbuild/submit.sh writes the place that the output `places` has."""
    script = (ROOT / "deploy" / "cloudbuild" / "submit.sh").read_text()
    outputs = (FOLDER / "outputs.tf").read_text()
    for field in re.findall(r'^  "(\w+)":', script, re.MULTILINE):
        assert re.search(rf"^\s+{field}\s+= ", outputs, re.MULTILINE), field
    datasets = {name: body["dataset_id"] for kind, name, body in resources() if kind == "google_bigquery_dataset"}
    assert f'"bigquery://$PROJECT/{datasets["warehouse"]}"' in script


# --- least privilege -------------------------------------------------------------------------------------------


def test_no_role_is_broad():
    roles = set(re.findall(r"roles/[\w.]+", CODE))
    assert roles
    assert not roles & {"roles/owner", "roles/editor", "roles/viewer", "roles/iam.serviceAccountTokenCreator"}
    assert not [role for role in roles if role.lower().endswith("admin")], "admin roles are for people"
    assert not re.search(r"allUsers|allAuthenticatedUsers", CODE)


def test_no_key_and_no_secret_value():
    kinds = {kind for kind, _, _ in resources()}
    assert not kinds & {
        "google_service_account_key",
        "google_secret_manager_secret_version",
        "google_kms_secret_ciphertext",
    }
    assert not re.search(r"BEGIN [A-Z ]*PRIVATE KEY", TEXT)


def test_an_untrusted_build_can_do_nothing():
    for name, value in locals_().items():
        if name.endswith("_roles"):
            assert "pr" not in value, name
    assert locals_()["identities"]["pr"]["project"] == ["roles/logging.logWriter"]
    assert locals_()["identities"]["pr"]["acts_as"] == []


def granted():
    """Account -> scope -> roles, as Terraform grants them."""
    columns = {"images": "image_roles", "templates": "template_roles"}
    columns |= {"log": "log_roles", "warehouse": "warehouse_roles", "secret": "secret_roles"}
    rows = {}
    for name, identity in locals_()["identities"].items():
        row = {"project": set(identity["project"]), "acts as": {f"interlock-{one}" for one in identity["acts_as"]}}
        row |= {"bucket": set(locals_()["bucket_roles"].get(name, []))}
        row |= {
            column: {locals_()[table][name]} if name in locals_()[table] else set() for column, table in columns.items()
        }
        rows[f"interlock-{name}"] = row
    return rows


def test_the_guide_has_the_same_roles(documented_grants):
    assert documented_grants == granted()


# --- kept and protected ----------------------------------------------------------------------------------------


def test_buckets_are_private_and_keep_what_they_hold():
    buckets = [body for kind, _, body in resources() if kind == "google_storage_bucket"]
    assert len(buckets) == 2
    for body in buckets:
        assert body["uniform_bucket_level_access"] in (True, "true")
        assert body["public_access_prevention"] == "enforced"
        assert body["lifecycle_rule"]
        assert "retention_policy" in body or ("soft_delete_policy" in body and "versioning" in body)


def test_tables_with_payloads_are_partitioned_and_expire():
    tables = {name: body for kind, name, body in resources() if kind == "google_bigquery_table"}
    for name in ("request_response_log", "outcomes"):
        assert "log_days" in tables[name]["time_partitioning"][0]["expiration_ms"]
    for name in ("rollout_journal", "monitoring_log"):
        assert "time_partitioning" not in tables[name], "what was decided never expires"


def columns_of(name):
    body = next(body for kind, found, body in resources() if kind == "google_bigquery_table" and found == name)
    return dict(re.findall(r'name\s*=\s*"(\w+)",?\s*type\s*=\s*"(\w+)"', str(body["schema"]).replace("\\", "")))


@pytest.mark.parametrize("name", sorted(set(metadata.tables) - {"request_response_log"}))
def test_tables_have_the_columns_that_the_code_uses(name):
    kinds = {"VARCHAR": "STRING", "TEXT": "STRING", "INTEGER": "INTEGER", "FLOAT": "FLOAT"}
    expected = {column.name: kinds[str(column.type)] for column in metadata.tables[name].columns}
    assert columns_of(name) == expected


def test_the_view_has_the_columns_that_the_code_reads():
    sql = re.sub(r"--.*", "", (FOLDER / "sql" / "request_response_log.sql").read_text())
    final = sql[sql.rindex("SELECT") + len("SELECT") : sql.index("FROM `${log}`")]
    depth, parts = 0, [""]
    for sign in final:
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    names = [re.split(r"\bAS\b", part)[-1].strip().rpartition(".")[2] for part in parts]
    assert names == [column.name for column in request_response_log.columns]


def test_the_view_reads_what_vertex_ai_writes_and_the_journal_holds():
    sql = (FOLDER / "sql" / "request_response_log.sql").read_text()
    assert set(re.findall(r"raw\.(\w+)", sql)) <= set(columns_of("request_response_log"))
    journal = (ROOT / "src/interlock/rollout/journal.py").read_text()
    for field in re.findall(r"'\$\.(\w+)'", sql):
        assert re.search(rf"^    {field}: str", journal, re.MULTILINE), f"the journal's `started` has no {field}"


def test_the_endpoint_logs_where_the_client_would():
    """Whoever makes the endpoint, Terraform or the first deployment, its log is the same table."""
    client = (ROOT / "src/interlock/vertex/endpoint.py").read_text()
    dataset, table = re.search(r"bq://\{[^}]+\}\.(\w+)\.(\w+)", client).groups()
    tables = {name: body for kind, name, body in resources() if kind == "google_bigquery_table"}
    datasets = {name: body for kind, name, body in resources() if kind == "google_bigquery_dataset"}
    assert datasets["log"]["dataset_id"] == dataset
    assert tables["request_response_log"]["table_id"] == table
    endpoint = next(body for kind, _, body in resources() if kind == "google_vertex_ai_endpoint")
    logging = endpoint["predict_request_response_logging_config"][0]
    assert logging["bigquery_destination"][0]["output_uri"].endswith(
        "google_bigquery_table.request_response_log.table_id}"
    )
    assert endpoint["lifecycle"][0]["ignore_changes"] == ["traffic_split"]


def test_places_are_contracts():
    text = (FOLDER / "outputs.tf").read_text()
    fields = set(re.findall(r"^\s{6}(\w+)\s+=", text, re.MULTILINE))
    assert fields <= {"contract", *Place.__struct_fields__}
    assert {"contract", "project", "location", "bucket", "warehouse", "service_account"} == fields
    assert f'"{Place.__struct_config__.tag}"' in text


# --- terraform itself --------------------------------------------------------------------------------------------


def terraform():
    found = shutil.which("terraform") or shutil.which("tofu")
    if found is None:
        pytest.skip("neither terraform nor tofu is installed: formatting and syntax are judged by the parser alone")
    return found


def test_formatted():
    done = subprocess.run(
        [terraform(), "fmt", "-check", "-diff", "-recursive", str(FOLDER)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_indented_and_aligned():
    """What `terraform fmt` asks for and the eye can see: two spaces a level, no tabs, no trailing blanks."""
    for path in [*FILES, *ENVIRONMENTS]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert "\t" not in line, f"{path.name}:{number}"
            assert line == line.rstrip(), f"{path.name}:{number}"
            indent = len(line) - len(line.lstrip(" "))
            assert indent % 2 == 0, f"{path.name}:{number}"
