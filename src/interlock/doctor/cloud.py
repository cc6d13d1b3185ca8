"""What a Vertex AI place needs. Facts in, findings out; :mod:`interlock.vertex.inspection` gathers the facts.

The same checks for the emulator and for a Google Cloud project; what the emulator has not (credentials, APIs, roles,
quotas, an image registry) is not asked there, and the findings say so.
"""

from __future__ import annotations

import msgspec

from interlock.contracts import Place
from interlock.doctor.finding import Finding, missing, ok, unknown, warning

APIS = (
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
)
# What submitting, deploying and rolling back ask of the person or account that does it.
PERMISSIONS = (
    "aiplatform.endpoints.deploy",
    "aiplatform.endpoints.predict",
    "aiplatform.endpoints.update",
    "aiplatform.models.get",
    "aiplatform.models.upload",
    "aiplatform.pipelineJobs.create",
    "bigquery.jobs.create",
    "storage.buckets.get",
)
# The narrowest predefined role that has them.
ROLES = {
    "aiplatform": "roles/aiplatform.user",
    "bigquery": "roles/bigquery.jobUser",
    "storage": "roles/storage.bucketViewer",
}
TABLES = ("request_response_log", "outcomes", "rollout_journal", "monitoring_log")
UNLOGGED = ("error", "slow")
LEAST_CPUS = 8  # two replicas of n1-standard-4, old and new side by side


class CloudFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A place, as far as it answers. A ``*_problem`` is why it did not; '' when it did. None: not asked.

    ``enabled`` and ``permitted`` are the subsets of :data:`APIS` and :data:`PERMISSIONS` that are there.
    ``images``: image -> whether the registry has it. ``versions``: aliases by version. ``endpoint``: deployed version
    -> percent, None when there is no endpoint. ``metrics``: name -> ``value`` of the config's.
    """

    place: Place
    emulator: bool
    account: str = ""
    credentials_problem: str = ""
    enabled: list[str] | None = None
    enabled_problem: str = ""
    permitted: list[str] | None = None
    permitted_problem: str = ""
    cpus: int | None = None
    cpus_problem: str = ""
    bucket_exists: bool | None = None
    bucket_problem: str = ""
    tables: list[str] | None = None
    warehouse_problem: str = ""
    images: dict[str, bool] | None = None
    images_problem: str = ""
    model: str = ""
    versions: dict[str, list[str]] | None = None
    versions_problem: str = ""
    endpoint: dict[str, int] | None = None
    endpoint_problem: str = ""
    metrics: dict[str, str] = {}


def judge_cloud(facts: CloudFacts) -> list[Finding]:
    """Every check, from credentials to what is deployed."""
    findings = [_credentials(facts)]
    if facts.credentials_problem:
        return findings  # nothing else could be asked
    if not facts.emulator:
        findings += [_apis(facts), _permissions(facts), _quota(facts), _images(facts)]
    findings += [_bucket(facts), _warehouse(facts)]
    if facts.model:
        findings += [_aliases(facts), _endpoint(facts)]
    if facts.metrics and not facts.emulator:
        findings.append(_metrics(facts))
    return findings


def _metrics(facts: CloudFacts) -> Finding:
    """What the log of Vertex AI does not hold must be counted elsewhere, or a guardrail would be silent."""
    silent = sorted(name for name, value in facts.metrics.items() if value in UNLOGGED)
    if silent:
        found = f"{', '.join(silent)}: neither latency nor status is in Vertex AI's log"
        return missing("metrics", found, "value: counter, from Cloud Monitoring; docs/google-cloud.md has the queries")
    return ok("metrics", ", ".join(facts.metrics))


def _credentials(facts: CloudFacts) -> Finding:
    if facts.emulator:
        return ok("credentials", f"none needed: emulator {facts.place.api_endpoint}")
    if facts.credentials_problem:
        return missing("credentials", facts.credentials_problem, "gcloud auth application-default login")
    return ok("credentials", facts.account or "application default")


def _apis(facts: CloudFacts) -> Finding:
    if facts.enabled is None:
        return unknown("APIs", facts.enabled_problem, "gcloud services enable serviceusage.googleapis.com")
    absent = [api for api in APIS if api not in facts.enabled]
    if absent:
        mend = f"gcloud services enable {' '.join(absent)} --project {facts.place.project}"
        return missing("APIs", f"{len(absent)} of {len(APIS)} are not enabled: {', '.join(absent)}", mend)
    return ok("APIs", f"{len(APIS)} enabled")


def _permissions(facts: CloudFacts) -> Finding:
    if facts.permitted is None:
        return unknown("roles", facts.permitted_problem, "gcloud services enable cloudresourcemanager.googleapis.com")
    absent = [one for one in PERMISSIONS if one not in facts.permitted]
    if absent:
        role = ROLES[absent[0].partition(".")[0]]
        member = f"serviceAccount:{facts.account}" if "@" in facts.account else "user:YOU"
        mend = f"gcloud projects add-iam-policy-binding {facts.place.project} --member {member} --role {role}"
        return missing("roles", f"{facts.account or 'the account'} lacks {', '.join(absent)}", mend)
    return ok("roles", f"{len(PERMISSIONS)} permissions of {facts.account or 'the account'}")


def _quota(facts: CloudFacts) -> Finding:
    check, mend = "quota", "ask for more: https://console.cloud.google.com/iam-admin/quotas"
    if facts.cpus is None:
        return warning(check, facts.cpus_problem or "serving CPUs are not told", mend)
    found = f"{facts.cpus} CPUs for serving in {facts.place.location}"
    if facts.cpus < LEAST_CPUS:
        return missing(check, f"{found} < {LEAST_CPUS}: no candidate fits beside the champion", mend)
    return ok(check, found)


def _bucket(facts: CloudFacts) -> Finding:
    name = f"gs://{facts.place.bucket}"
    up = "interlock up" if facts.emulator else "terraform -chdir=deploy/terraform apply"
    if facts.bucket_exists is None:
        return unknown("bucket", f"{name}: {facts.bucket_problem}", up)
    if not facts.bucket_exists:
        return missing("bucket", f"{name} does not exist", up)
    return ok("bucket", f"{name} exists")


def _warehouse(facts: CloudFacts) -> Finding:
    if facts.tables is None:
        mend = (
            "pip install sqlalchemy-bigquery" if facts.place.warehouse.startswith("bigquery") else "look at the address"
        )
        return missing("warehouse", facts.warehouse_problem, mend)
    absent = [name for name in TABLES if name not in facts.tables]
    if absent:
        mend = "interlock up" if facts.emulator else "terraform -chdir=deploy/terraform apply"
        return missing("warehouse", f"no table {', '.join(absent)}", mend)
    return ok("warehouse", ", ".join(TABLES))


def _images(facts: CloudFacts) -> Finding:
    if facts.images is None:
        return unknown("images", facts.images_problem, "terraform -chdir=deploy/terraform apply")
    absent = [name for name, there in facts.images.items() if not there]
    if absent:
        where = f"{facts.place.location}-docker.pkg.dev/{facts.place.project}/interlock"
        return missing(
            "images",
            f"not in the registry: {', '.join(absent)}",
            f"make images && REPOSITORY={where} TAG=main make push-images",
        )
    return ok("images", ", ".join(facts.images))


def _aliases(facts: CloudFacts) -> Finding:
    check = f"model {facts.model}"
    if facts.versions is None:
        return unknown(check, facts.versions_problem, "interlock submit training -c CONFIG")
    if not facts.versions:
        return warning(check, "no version yet", "interlock submit training -c CONFIG")
    standing = [f"{version} {', '.join(aliases) or '-'}" for version, aliases in facts.versions.items()]
    return ok(check, "; ".join(standing[-3:]))


def _endpoint(facts: CloudFacts) -> Finding:
    check, mend = f"endpoint {facts.model}", "interlock submit deployment -c CONFIG"
    if facts.endpoint_problem:
        return unknown(check, facts.endpoint_problem, mend)
    if facts.endpoint is None:
        return warning(check, "does not exist yet; the first deployment makes it", mend)
    if not facts.endpoint:
        return warning(check, "nothing is deployed on it", mend)
    produced = [version for version, aliases in (facts.versions or {}).items() if "production" in aliases]
    served, _ = max(facts.endpoint.items(), key=lambda item: item[1])
    split = ", ".join(f"version {version} {percent} %" for version, percent in facts.endpoint.items())
    if produced and served not in produced:
        return warning(check, f"{split}, but alias production is on {produced[0]}", "interlock settle -c CONFIG")
    return ok(check, split)
