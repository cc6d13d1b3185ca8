"""Which method on which path is which call. What has no handler answers 501."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from interlock.emulator.call import Call
from interlock.emulator.endpoints import Endpoints
from interlock.emulator.evaluations import Evaluations
from interlock.emulator.models import Models
from interlock.emulator.operations import Operations
from interlock.emulator.pipeline_jobs import PipelineJobs
from interlock.emulator.rpc import Document
from interlock.emulator.schedules import Schedules
from interlock.emulator.surface import RPCS

Handler = Callable[[Call], Document | Awaitable[Document]]
Routes = dict[tuple[str, str], Handler]


def build_routes(
    models: Models,
    evaluations: Evaluations,
    endpoints: Endpoints,
    jobs: PipelineJobs,
    schedules: Schedules,
    operations: Operations,
) -> Routes:
    """Handlers by HTTP method and pattern. Predict and RawPredict are served apart, by :mod:`prediction`."""
    handlers: dict[str, Handler] = {
        "UploadModel": models.upload,
        "GetModel": models.get,
        "ListModels": models.list_models,
        "UpdateModel": models.update,
        "DeleteModel": models.delete,
        "ListModelVersions": models.list_versions,
        "ListModelVersionCheckpoints": models.list_checkpoints,
        "MergeVersionAliases": models.merge_version_aliases,
        "DeleteModelVersion": models.delete_version,
        "CopyModel": models.copy,
        "ImportModelEvaluation": evaluations.import_evaluation,
        "ListModelEvaluations": evaluations.list_evaluations,
        "GetModelEvaluation": evaluations.get,
        "BatchImportModelEvaluationSlices": evaluations.import_slices,
        "ListModelEvaluationSlices": evaluations.list_slices,
        "GetModelEvaluationSlice": evaluations.get_slice,
        "CreateEndpoint": endpoints.create,
        "GetEndpoint": endpoints.get,
        "ListEndpoints": endpoints.list_endpoints,
        "UpdateEndpoint": endpoints.update,
        "UpdateEndpointLongRunning": endpoints.update_long_running,
        "DeleteEndpoint": endpoints.delete,
        "DeployModel": endpoints.deploy_model,
        "UndeployModel": endpoints.undeploy_model,
        "MutateDeployedModel": endpoints.mutate_deployed_model,
        "CreatePipelineJob": jobs.create,
        "GetPipelineJob": jobs.get,
        "ListPipelineJobs": jobs.list_jobs,
        "CancelPipelineJob": jobs.cancel,
        "DeletePipelineJob": jobs.delete,
        "BatchCancelPipelineJobs": jobs.batch_cancel,
        "BatchDeletePipelineJobs": jobs.batch_delete,
        "CreateSchedule": schedules.create,
        "GetSchedule": schedules.get,
        "ListSchedules": schedules.list_schedules,
        "UpdateSchedule": schedules.update,
        "PauseSchedule": schedules.pause,
        "ResumeSchedule": schedules.resume,
        "DeleteSchedule": schedules.delete,
        "GetOperation": operations.get,
        "ListOperations": operations.list_operations,
        "WaitOperation": operations.wait,
        "CancelOperation": operations.cancel,
        "DeleteOperation": operations.delete,
    }
    return {(rpc.method, rpc.pattern): handlers[rpc.name] for rpc in RPCS if rpc.name in handlers}


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
