"""Every call of the five services, and whether it is served. docs/emulator.md is written from this table.

One row a call: name, HTTP method, path below ``projects/*/locations/*/``, and ``-`` in front where it answers 501.
tests/contract/emulator/test_surface.py holds it against the client library.
"""

from __future__ import annotations

import msgspec

_TABLE = """
ModelService
  UploadModel POST models:upload
  GetModel GET models/*
  ListModels GET models
  UpdateModel PATCH models/*
  DeleteModel DELETE models/*
  ListModelVersions GET models/*:listVersions
  ListModelVersionCheckpoints GET models/*:listCheckpoints
  MergeVersionAliases POST models/*:mergeVersionAliases
  DeleteModelVersion DELETE models/*:deleteVersion
  CopyModel POST models:copy
  - ExportModel POST models/*:export
  - UpdateExplanationDataset POST models/*:updateExplanationDataset
  ImportModelEvaluation POST models/*/evaluations:import
  ListModelEvaluations GET models/*/evaluations
  GetModelEvaluation GET models/*/evaluations/*
  BatchImportModelEvaluationSlices POST models/*/evaluations/*/slices:batchImport
  - BatchImportEvaluatedAnnotations POST models/*/evaluations/*/slices/*:batchImport
  ListModelEvaluationSlices GET models/*/evaluations/*/slices
  GetModelEvaluationSlice GET models/*/evaluations/*/slices/*
EndpointService
  CreateEndpoint POST endpoints
  GetEndpoint GET endpoints/*
  ListEndpoints GET endpoints
  UpdateEndpoint PATCH endpoints/*
  UpdateEndpointLongRunning POST endpoints/*:update
  DeleteEndpoint DELETE endpoints/*
  DeployModel POST endpoints/*:deployModel
  UndeployModel POST endpoints/*:undeployModel
  MutateDeployedModel POST endpoints/*:mutateDeployedModel
PredictionService
  Predict POST endpoints/*:predict
  RawPredict POST endpoints/*:rawPredict
  - Explain POST endpoints/*:explain
  - DirectPredict POST endpoints/*:directPredict
  - DirectRawPredict POST endpoints/*:directRawPredict
  - ServerStreamingPredict POST endpoints/*:serverStreamingPredict
  - StreamRawPredict POST endpoints/*:streamRawPredict
  - GenerateContent POST endpoints/*:generateContent
  - StreamGenerateContent POST endpoints/*:streamGenerateContent
PipelineService
  CreatePipelineJob POST pipelineJobs
  GetPipelineJob GET pipelineJobs/*
  ListPipelineJobs GET pipelineJobs
  CancelPipelineJob POST pipelineJobs/*:cancel
  DeletePipelineJob DELETE pipelineJobs/*
  BatchCancelPipelineJobs POST pipelineJobs:batchCancel
  BatchDeletePipelineJobs POST pipelineJobs:batchDelete
  - CreateTrainingPipeline POST trainingPipelines
  - GetTrainingPipeline GET trainingPipelines/*
  - ListTrainingPipelines GET trainingPipelines
  - CancelTrainingPipeline POST trainingPipelines/*:cancel
  - DeleteTrainingPipeline DELETE trainingPipelines/*
ScheduleService
  CreateSchedule POST schedules
  GetSchedule GET schedules/*
  ListSchedules GET schedules
  UpdateSchedule PATCH schedules/*
  PauseSchedule POST schedules/*:pause
  ResumeSchedule POST schedules/*:resume
  DeleteSchedule DELETE schedules/*
Operations
  GetOperation GET operations/*
  ListOperations GET operations
  WaitOperation POST operations/*:wait
  CancelOperation POST operations/*:cancel
  DeleteOperation DELETE operations/*
"""


class Rpc(msgspec.Struct, frozen=True):
    """A call: ``method`` and ``pattern`` are how REST carries it, ``*`` stands for an id."""

    service: str
    name: str
    method: str
    pattern: str
    served: bool


def _rows() -> list[Rpc]:
    rows: list[Rpc] = []
    service = ""
    for line in _TABLE.strip().splitlines():
        match line.split():
            case [service]:
                pass
            case ["-", name, method, pattern]:
                rows.append(Rpc(service, name, method, pattern, served=False))
            case [name, method, pattern]:
                rows.append(Rpc(service, name, method, pattern, served=True))
    return rows


RPCS = _rows()
_NAMES = {(rpc.method, rpc.pattern): rpc for rpc in RPCS}


def call_name(method: str, pattern: str) -> str:
    """``PredictionService.Explain`` where the table knows the call, '' elsewhere."""
    rpc = _NAMES.get((method, pattern))
    return f"{rpc.service}.{rpc.name}" if rpc else ""
