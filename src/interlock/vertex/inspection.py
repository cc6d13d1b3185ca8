"""Facts of a place for `interlock doctor`: what answers, what is there, what the caller may do.

Where Google's client library of a service is not among our dependencies, its REST API is asked with the same
credentials. Nothing is changed anywhere.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec
import sqlalchemy as sa

from interlock.config import Config
from interlock.contracts import Place
from interlock.doctor.cloud import APIS, PERMISSIONS, TABLES, CloudFacts
from interlock.vertex.client import bucket, is_local
from interlock.vertex.endpoint import VertexEndpoint
from interlock.vertex.registry import VertexModelRegistry
from interlock.warehouse import reason_of

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
SECONDS = 20
SERVING_CPUS = "aiplatform.googleapis.com/custom_model_serving_cpus"


class GoogleRest:
    """Google's REST APIs with one set of credentials; ``address`` of a service, ``{service}`` in it its name."""

    def __init__(self, credentials: Any, address: str = "https://{service}.googleapis.com") -> None:
        from google.auth.transport.requests import AuthorizedSession

        self._session: Any = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        self._address = address

    def ask(self, service: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and answer: GET, or POST with a ``body``."""
        url = f"{self._address.format(service=service)}/{path}"
        method = "GET" if body is None else "POST"
        answer = self._session.request(method, url, json=body, timeout=SECONDS)
        try:
            return answer.status_code, answer.json()
        except ValueError:
            return answer.status_code, {"error": {"message": answer.text[:200]}}


def cloud_facts(place: Place, config: Config | None, images: list[str]) -> CloudFacts:
    """Look at ``place``; without a ``config`` at no model and endpoint. ``images``: names in its registry."""
    model = config.name if config else ""
    metrics = {metric.name: str(metric.value) for metric in config.metrics} if config else {}
    if is_local(place):
        return _what_is_there(CloudFacts(place=place, emulator=True, model=model))
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, _ = google.auth.default(scopes=[SCOPE])
    except GoogleAuthError as error:
        problem = str(error).splitlines()[0]
        return CloudFacts(place=place, emulator=False, model=model, credentials_problem=problem)
    facts = project_facts(place, model, images, GoogleRest(credentials), _account(credentials))
    return _what_is_there(msgspec.structs.replace(facts, metrics=metrics))


def project_facts(place: Place, model: str, images: list[str], rest: GoogleRest, account: str) -> CloudFacts:
    """What only a Google Cloud project has: APIs, permissions, quota, images."""
    from google.auth.exceptions import GoogleAuthError

    facts = CloudFacts(place=place, emulator=False, model=model, account=account)
    try:
        return msgspec.structs.replace(
            facts,
            **_enabled(rest, place.project),
            **_permitted(rest, place.project),
            **_cpus(rest, place),
            **_images(rest, place, images),
        )
    except GoogleAuthError as error:
        return msgspec.structs.replace(facts, credentials_problem=str(error).splitlines()[0])
    except OSError as error:  # what requests raises
        return msgspec.structs.replace(facts, credentials_problem=f"Google does not answer: {error}")


def _account(credentials: Any) -> str:
    return str(getattr(credentials, "service_account_email", "") or getattr(credentials, "account", ""))


def _refused(status: int, answer: dict[str, Any]) -> str:
    return f"{status}: {answer.get('error', {}).get('message', 'no reason given')}"


def _enabled(rest: GoogleRest, project: str) -> dict[str, Any]:
    names = "&".join(f"names=projects/{project}/services/{api}" for api in APIS)
    status, answer = rest.ask("serviceusage", f"v1/projects/{project}/services:batchGet?{names}")
    if status != 200:
        return {"enabled_problem": _refused(status, answer)}
    found = answer.get("services", [])
    return {"enabled": [one["config"]["name"] for one in found if one.get("state") == "ENABLED"]}


def _permitted(rest: GoogleRest, project: str) -> dict[str, Any]:
    body = {"permissions": list(PERMISSIONS)}
    status, answer = rest.ask("cloudresourcemanager", f"v3/projects/{project}:testIamPermissions", body)
    if status != 200:
        return {"permitted_problem": _refused(status, answer)}
    return {"permitted": answer.get("permissions", [])}


def _cpus(rest: GoogleRest, place: Place) -> dict[str, Any]:
    """The effective limit of the place's region, or of any region."""
    metric = quote(SERVING_CPUS, safe="")
    path = f"v1beta1/projects/{place.project}/services/aiplatform.googleapis.com/consumerQuotaMetrics/{metric}"
    status, answer = rest.ask("serviceusage", path)
    if status != 200:
        return {"cpus_problem": _refused(status, answer)}
    buckets = [one for limit in answer.get("consumerQuotaLimits", []) for one in limit.get("quotaBuckets", [])]
    limits = {one.get("dimensions", {}).get("region", ""): int(one.get("effectiveLimit", 0)) for one in buckets}
    found = limits.get(place.location, limits.get(""))
    return {"cpus": found} if found is not None else {"cpus_problem": f"no limit told for {place.location}"}


def _images(rest: GoogleRest, place: Place, images: list[str]) -> dict[str, Any]:
    there = {}
    for image in images:
        repository = f"projects/{place.project}/locations/{place.location}/repositories/interlock"
        status, answer = rest.ask("artifactregistry", f"v1/{repository}/packages/{image}")
        if status not in (200, 404):
            return {"images_problem": _refused(status, answer)}
        there[image] = status == 200
    return {"images": there}


def _what_is_there(facts: CloudFacts) -> CloudFacts:
    """Bucket, warehouse, versions, endpoint: by the clients that the pipelines use."""
    if facts.credentials_problem:
        return facts
    return msgspec.structs.replace(
        facts, **_bucket(facts.place), **_tables(facts.place.warehouse), **_model(facts.place, facts.model)
    )


def _bucket(place: Place) -> dict[str, Any]:
    from google.api_core.exceptions import GoogleAPIError

    try:
        return {"bucket_exists": bool(bucket(place).exists(timeout=SECONDS, retry=None))}
    except (GoogleAPIError, OSError) as error:
        return {"bucket_problem": str(error).splitlines()[0]}


def _tables(url: str) -> dict[str, Any]:
    """Which of the tables are there. Nothing is created: a file that is missing stays missing."""
    try:
        address = sa.make_url(url)
        if address.drivername == "sqlite" and address.database:
            address = sa.make_url(f"sqlite:///file:{address.database}?mode=ro&uri=true")
        engine = sa.create_engine(address)
        try:
            inspected = sa.inspect(engine)
            return {"tables": [name for name in TABLES if inspected.has_table(name)]}
        finally:
            engine.dispose()
    except sa.exc.SQLAlchemyError as error:
        return {"warehouse_problem": reason_of(error)}
    except ImportError as error:
        return {"warehouse_problem": str(error)}


def _model(place: Place, name: str) -> dict[str, Any]:
    from google.api_core.exceptions import GoogleAPIError

    if not name:
        return {}
    try:
        versions = {one.version: one.aliases for one in VertexModelRegistry(place, name).versions()}
        found = VertexEndpoint(place, name).find()
    except (GoogleAPIError, OSError) as error:
        problem = str(error).splitlines()[0]
        return {"versions_problem": problem, "endpoint_problem": problem}
    split = None if found is None else {found.versions[id_]: percent for id_, percent in found.traffic.items()}
    return {"versions": versions, "endpoint": split}
