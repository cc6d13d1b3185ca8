"""Cloud Monitoring as a source of metrics: it answers PromQL, so only the address and the token differ.

https://cloud.google.com/stackdriver/docs/managed-prometheus/query-api-ui
"""

from __future__ import annotations

from typing import Any

from interlock.contracts import Place
from interlock.rollout.counters import PrometheusCounters
from interlock.vertex.client import is_local

SCOPE = "https://www.googleapis.com/auth/monitoring.read"


def cloud_counters(place: Place) -> PrometheusCounters:
    """Counters of the place's project. On a laptop there is no Cloud Monitoring: each metric names its server."""
    if is_local(place):
        return PrometheusCounters()
    url = f"https://monitoring.googleapis.com/v1/projects/{place.project}/location/global/prometheus"
    return PrometheusCounters(url, _Token())


class _Token:
    """A bearer token from the application-default credentials, refreshed when it has run out."""

    def __init__(self) -> None:
        self._credentials: Any = None

    def __call__(self) -> str:
        import google.auth
        from google.auth.transport.requests import Request

        if self._credentials is None:
            self._credentials, _ = google.auth.default(scopes=[SCOPE])
        credentials = self._credentials
        if not credentials.valid:
            credentials.refresh(Request())
        return str(credentials.token)
