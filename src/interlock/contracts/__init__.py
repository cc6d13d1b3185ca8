"""The frozen values that travel between stages, as JSON files with a version in them.

Every contract carries its name (``"contract": "evaluation/v1"``). It is validated where it is read, so a
stage never works on a file that merely looks right. Floats are finite unless a field says otherwise.

=================  ==================================  ===========================================
contract           written by                          read by
=================  ==================================  ===========================================
Table              ingest_table                        validate_data, build_features
DataVerdict        validate_data                       build_features, judge_candidate
Features           build_features                      train_model, evaluate_model
Signature          train_model                         evaluate_model, model server
Manifest           train_model                         everything after it (digest check)
Evaluation         evaluate_model                      judge_candidate, register_model
GateReport         judge_candidate                     register_model, resolve_candidate
ModelVersion       interlock.registry                  deployment pipeline
Verdict            judge_rollout                       strategy, journal, report
=================  ==================================  ===========================================
"""

from interlock.contracts.data import Anomaly, Column, DataVerdict, FeatureDrift, Features, SqlResult, Table, TableChecks
from interlock.contracts.evaluation import Comparison, Evaluation, GateReport, Latency, Measure, RuleResult
from interlock.contracts.file import Contract, read_contract, write_contract
from interlock.contracts.model import InputField, Manifest, ModelSignature, Signature, Task
from interlock.contracts.monitoring import (
    BinnedColumn,
    MonitoringAction,
    MonitoringCheck,
    MonitoringReference,
    MonitoringReport,
)
from interlock.contracts.rollout import ModelVersion, Place, Verdict, VerdictKind, parse_place

__all__ = [
    "Anomaly",
    "BinnedColumn",
    "Column",
    "Comparison",
    "Contract",
    "DataVerdict",
    "Evaluation",
    "FeatureDrift",
    "Features",
    "GateReport",
    "InputField",
    "Latency",
    "Manifest",
    "Measure",
    "ModelSignature",
    "ModelVersion",
    "MonitoringAction",
    "MonitoringCheck",
    "MonitoringReference",
    "MonitoringReport",
    "Place",
    "RuleResult",
    "Signature",
    "SqlResult",
    "Table",
    "TableChecks",
    "Task",
    "Verdict",
    "VerdictKind",
    "parse_place",
    "read_contract",
    "write_contract",
]
