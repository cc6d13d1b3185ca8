"""Metrics that another system counts: Prometheus, or Cloud Monitoring through the same API.

A check counts what happened to each arm between two moments: the value of a counter at the second, less its value
at the first. So checks are disjoint, however the scrapes fall, and each request is counted once. A series that is
not there, a counter that went back, a server that does not answer are errors, never "healthy".
https://prometheus.io/docs/prometheus/latest/querying/api/
"""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from string import Template
from typing import Any, Protocol

import msgspec

from interlock.config import Metric, Prometheus
from interlock.errors import EvidenceError
from interlock.rollout.counts import Sample


class Counters(Protocol):
    """Where counters are read."""

    def sample(self, metric: Metric, *, deployed_model_id: str, version: str, since: float, until: float) -> Sample:
        """What ``metric`` counted of one version between two moments (seconds since 1970, UTC).

        Raises :class:`EvidenceError` when that cannot be said.
        """
        ...


class _Data(msgspec.Struct):
    resultType: str = ""
    result: list[Any] = []


class _Answer(msgspec.Struct):
    status: str
    data: _Data = msgspec.field(default_factory=_Data)
    error: str = ""


class PrometheusCounters:
    """Counters behind the Prometheus HTTP API. ``address`` '' in the config means ``default_url``.

    ``token`` gives the bearer token of each request; None sends none.
    """

    def __init__(self, default_url: str = "", token: Callable[[], str] | None = None) -> None:
        self._default_url, self._token = default_url, token

    def sample(self, metric: Metric, *, deployed_model_id: str, version: str, since: float, until: float) -> Sample:
        """Two instant queries per counter."""
        source = metric.prometheus
        if source is None:
            raise EvidenceError(f"metric {metric.name} has no prometheus section: say where it is counted")
        names = {"deployed_model_id": deployed_model_id, "version": version}
        total = self._between(metric.name, source, Template(source.total).safe_substitute(names), since, until)
        counted = self._between(metric.name, source, Template(source.counted).safe_substitute(names), since, until)
        if counted > total:
            raise EvidenceError(f"metric {metric.name}: {counted} counted of {total} in all; look at the two queries")
        bad = total - counted if metric.up else counted
        return Sample(n=total, nonzero=bad, total=float(bad), squares=float(bad))

    def _between(self, name: str, source: Prometheus, query: str, since: float, until: float) -> int:
        first, last = (self._value(name, source, query, at) for at in (since, until))
        if last < first:
            raise EvidenceError(
                f"metric {name}: counter went back from {first:g} to {last:g}: its process started anew"
            )
        return round(last - first)

    def _value(self, name: str, source: Prometheus, query: str, at: float) -> float:
        url = (source.url or self._default_url).rstrip("/")
        asked = urllib.parse.urlencode({"query": query, "time": f"{at:.3f}"})
        headers = {"Authorization": f"Bearer {self._token()}"} if self._token else {}
        request = urllib.request.Request(f"{url}/api/v1/query?{asked}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=source.timeout_seconds) as response:
                answer = msgspec.json.decode(response.read(), type=_Answer)
        except urllib.error.HTTPError as error:
            raise EvidenceError(f"metric {name}: {url} answered {error.code} to {query}") from error
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise EvidenceError(f"metric {name}: {url} cannot be asked: {error}") from error
        if answer.status != "success":
            raise EvidenceError(f"metric {name}: {url} refused {query}: {answer.error}")
        return _single(name, query, answer.data)


def _single(name: str, query: str, data: _Data) -> float:
    """The one value of an instant vector or a scalar."""
    found = data.result
    if data.resultType == "vector" and len(found) != 1:
        raise EvidenceError(
            f"metric {name}: {len(found)} series for {query}, 1 expected; correct the name, or put sum() around it"
        )
    try:
        value = found[1] if data.resultType == "scalar" else found[0]["value"][1]
        number = float(value)
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"metric {name}: no number for {query}") from error
    if not number >= 0 or number == float("inf"):
        raise EvidenceError(f"metric {name}: {number} for {query} is no count")
    return number
