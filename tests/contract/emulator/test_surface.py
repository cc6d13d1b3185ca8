"""The table of calls against the client library, the handlers and the written documentation."""

import importlib
import re
from pathlib import Path

import pytest

from interlock.emulator.documentation import FIRST, generated
from interlock.emulator.surface import RPCS

SERVICES = ["model_service", "endpoint_service", "prediction_service", "pipeline_service", "schedule_service"]
PAGE = Path(__file__).parents[3] / "docs" / "emulator.md"


def calls_of_the_client():
    """(name, method, path) of every call below a location, without IAM and locations, of the five services."""
    found = set()
    for service in SERVICES:
        module = importlib.import_module(f"google.cloud.aiplatform_v1.services.{service}.transports.rest_base")
        base = next(
            getattr(module, name) for name in dir(module) if name.startswith("_Base") and name.endswith("RestTransport")
        )
        for name in dir(base):
            options = getattr(getattr(base, name), "_get_http_options", None)
            if not name.startswith("_Base") or options is None or "Iam" in name:
                continue
            for option in options():
                uri = re.sub(r"\{[\w.]+=([^}]*)\}", r"\1", option["uri"])
                path = uri.removeprefix("/v1/projects/*/locations/*/")
                nested = "Operation" in name and not path.startswith("operations")
                if path != uri and "publishers" not in path and not nested:
                    found.add((name.removeprefix("_Base"), option["method"].upper(), path))
    return found


def test_the_table_is_what_the_client_calls():
    assert {(rpc.name, rpc.method, rpc.pattern) for rpc in RPCS} == calls_of_the_client()


def test_the_written_page_is_what_the_code_says():
    written = FIRST + PAGE.read_text().partition(FIRST)[2]
    assert written == generated(), "run: python -m interlock.emulator.documentation docs/emulator.md"


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.name)
def test_a_call_is_served_or_says_its_name(emulator, rpc):
    path = rpc.pattern.replace("*", "404")
    status, answer = emulator.request(rpc.method, path, {} if rpc.method in ("POST", "PATCH") else None)
    if rpc.served:
        assert status in (200, 400, 404)
    else:
        assert (status, answer["error"]["status"]) == (501, "UNIMPLEMENTED")
        assert f"{rpc.service}.{rpc.name}" in answer["error"]["message"]
