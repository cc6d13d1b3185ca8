"""Each verdict as points of custom metrics in Cloud Monitoring, by its REST API.

https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/create
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from interlock.contracts import MonitoringAction, MonitoringReport, Place
from interlock.errors import EnvironmentProblem
from interlock.vertex.client import is_local

ADDRESS = "https://monitoring.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/monitoring.write"
PREFIX = "custom.googleapis.com/interlock/monitoring"
SECONDS = 20
VERDICTS = {"ok": 0, "alert": 1, "error": 2}


def time_series(place: Place, report: MonitoringReport) -> dict[str, Any]:
    """The request: the verdict as a number (0 ok, 1 alert, 2 error), and alarms per check."""
    alarms: dict[str, int] = {}
    for check in report.checks:
        alarms[check.check] = alarms.get(check.check, 0) + (check.status == "alarm")
    end = dt.datetime.fromtimestamp(report.until, dt.UTC).isoformat().replace("+00:00", "Z")

    def series(name: str, value: int, **labels: str) -> dict[str, Any]:
        own = {"endpoint": report.endpoint, "version": report.version, **labels}
        return {
            "metric": {"type": f"{PREFIX}/{name}", "labels": own},
            "resource": {"type": "global", "labels": {"project_id": place.project}},
            "points": [{"interval": {"endTime": end}, "value": {"int64Value": str(value)}}],
        }

    verdict = series("verdict", VERDICTS[report.verdict])
    return {"timeSeries": [verdict, *(series("alarms", n, check=check) for check, n in sorted(alarms.items()))]}


def write(place: Place, report: MonitoringReport, session: Any, address: str = ADDRESS) -> str:
    """Send it; :class:`EnvironmentProblem` when it is not taken."""
    url = f"{address}/v3/projects/{place.project}/timeSeries"
    body = time_series(place, report)
    answer = session.request("POST", url, json=body, timeout=SECONDS)
    if answer.status_code != 200:
        raise EnvironmentProblem(
            f"Cloud Monitoring refuses the metric: {answer.status_code}; the account needs "
            "roles/monitoring.metricWriter"
        )
    return f"{len(body['timeSeries'])} series"


def written(place: Place, report: MonitoringReport) -> MonitoringAction:
    """Write the metric of ``place``'s project, and how it went. A laptop has no Cloud Monitoring."""
    because = [f"verdict {report.verdict}"]
    if is_local(place):
        return MonitoringAction(action="metric", because=because, outcome="held", detail="no Cloud Monitoring here")
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=[SCOPE])
    try:
        detail = write(place, report, AuthorizedSession(credentials))  # type: ignore[no-untyped-call]
    except EnvironmentProblem as error:
        return MonitoringAction(action="metric", because=because, outcome="failed", detail=str(error))
    return MonitoringAction(action="metric", because=because, outcome="done", detail=detail)
