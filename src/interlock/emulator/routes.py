"""Which method on which path is which call. What is not here answers 501."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from interlock.emulator.call import Call
from interlock.emulator.endpoints import Endpoints
from interlock.emulator.evaluations import Evaluations
from interlock.emulator.models import Models
from interlock.emulator.operations import Operations
from interlock.emulator.pipeline_jobs import PipelineJobs
from interlock.emulator.rpc import Document

Handler = Callable[[Call], Document | Awaitable[Document]]
Routes = dict[tuple[str, str], Handler]


def build_routes(
    models: Models, evaluations: Evaluations, endpoints: Endpoints, jobs: PipelineJobs, operations: Operations
) -> Routes:
    """Handlers by HTTP method and pattern; ``*`` is an id. Predict and rawPredict are served apart."""
    return {
        ("POST", "models:upload"): models.upload,
        ("GET", "models"): models.list_models,
        ("GET", "models/*"): models.get,
        ("PATCH", "models/*"): models.update,
        ("DELETE", "models/*"): models.delete,
        ("GET", "models/*:listVersions"): models.list_versions,
        ("POST", "models/*:mergeVersionAliases"): models.merge_version_aliases,
        ("DELETE", "models/*:deleteVersion"): models.delete_version,
        ("POST", "models/*/evaluations:import"): evaluations.import_evaluation,
        ("GET", "models/*/evaluations"): evaluations.list_evaluations,
        ("GET", "models/*/evaluations/*"): evaluations.get,
        ("POST", "models/*/evaluations/*/slices:batchImport"): evaluations.import_slices,
        ("GET", "models/*/evaluations/*/slices"): evaluations.list_slices,
        ("GET", "models/*/evaluations/*/slices/*"): evaluations.get_slice,
        ("POST", "endpoints"): endpoints.create,
        ("GET", "endpoints"): endpoints.list_endpoints,
        ("GET", "endpoints/*"): endpoints.get,
        ("PATCH", "endpoints/*"): endpoints.update,
        ("DELETE", "endpoints/*"): endpoints.delete,
        ("POST", "endpoints/*:deployModel"): endpoints.deploy_model,
        ("POST", "endpoints/*:undeployModel"): endpoints.undeploy_model,
        ("POST", "pipelineJobs"): jobs.create,
        ("GET", "pipelineJobs"): jobs.list_jobs,
        ("GET", "pipelineJobs/*"): jobs.get,
        ("POST", "pipelineJobs/*:cancel"): jobs.cancel,
        ("DELETE", "pipelineJobs/*"): jobs.delete,
        ("GET", "operations"): operations.list_operations,
        ("GET", "operations/*"): operations.get,
        ("POST", "operations/*:wait"): operations.wait,
    }


def match(path: str) -> tuple[str, tuple[str, ...]]:
    """``models/7@2:mergeVersionAliases`` -> ``models/*:mergeVersionAliases``, ``("7@2",)``.

    An operation is known by its id alone: ``models/7/operations/9`` -> ``operations/*``.
    """
    head, separator, last = path.rpartition("/")
    last, colon, verb = last.partition(":")
    segments = f"{head}{separator}{last}".split("/")
    if "operations" in segments[::2]:
        segments = segments[segments.index("operations") :]
    pattern = "/".join("*" if index % 2 else segment for index, segment in enumerate(segments))
    return pattern + colon + verb, tuple(segments[1::2])
