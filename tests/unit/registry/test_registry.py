"""Registering and resolving, on a registry that keeps its state in memory."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from interlock.contracts import (
    DataVerdict,
    Evaluation,
    GateReport,
    Manifest,
    Measure,
    ModelVersion,
    RuleResult,
    write_contract,
)
from interlock.errors import ContractError, GateFailed, RegistryError
from interlock.registry.champion import fetch_champion
from interlock.registry.evaluation import evaluation_payload, slice_payloads
from interlock.registry.quarantine import is_quarantined, quarantine
from interlock.registry.register import register_model
from interlock.registry.resolve import resolve_candidate

MODEL = b"a model"
DIGEST = hashlib.sha256(MODEL).hexdigest()


class FakeRegistry:
    """Versions, aliases and evaluations in memory, files in a folder; remembers the order of what was done."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.kept: dict[str, ModelVersion] = {}
        self.evaluations: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        self.done: list[str] = []

    def upload(
        self, folder: Path, *, image: str, digest: str, description: str, labels: dict[str, str]
    ) -> ModelVersion:
        number = str(len(self.kept) + 1)
        shutil.copytree(folder, self.store / number)
        self.kept[number] = ModelVersion(
            name="models/orders", version=number, aliases=[], artifact_uri=number, description=description
        )
        self.done.append("upload")
        return self.kept[number]

    def attach_evaluation(
        self, version: ModelVersion, evaluation: dict[str, Any], slices: list[dict[str, Any]]
    ) -> None:
        self.evaluations[version.version] = (evaluation, slices)
        self.done.append("evaluation")

    def find(self, alias_or_version: str) -> ModelVersion | None:
        found = [v for v in self.kept.values() if alias_or_version in {v.version, *v.aliases}]
        return found[0] if found else None

    def versions(self) -> list[ModelVersion]:
        return list(self.kept.values())

    def set_alias(self, version: str, alias: str) -> None:
        for other in list(self.kept):
            self.remove_alias(other, alias)
        held = self.kept[version]
        self.kept[version] = msgspec.structs.replace(held, aliases=[*held.aliases, alias])
        self.done.append(f"alias {alias}")

    def remove_alias(self, version: str, alias: str) -> None:
        held = self.kept[version]
        self.kept[version] = msgspec.structs.replace(held, aliases=[a for a in held.aliases if a != alias])

    def fetch(self, version: ModelVersion, folder: Path) -> Path:
        shutil.copytree(self.store / version.artifact_uri, folder, dirs_exist_ok=True)
        return folder


class Files(msgspec.Struct, frozen=True):
    """What the stages before wrote about one model."""

    manifest: Manifest
    verdict: DataVerdict
    evaluation: Evaluation
    report: GateReport

    def changed(self, **parts: Any) -> Files:
        return msgspec.structs.replace(self, **parts)


@pytest.fixture
def registry(tmp_path: Path) -> FakeRegistry:
    return FakeRegistry(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "candidate"
    made.mkdir()
    (made / "model.onnx").write_bytes(MODEL)
    return made


@pytest.fixture
def files() -> Files:
    manifest = Manifest(
        name="orders",
        model_sha256=DIGEST,
        signature_sha256="s",
        features_sha256="f",
        table_sha256="table",
        config_sha256="c",
        config="",
        seed=0,
        window=["2024-01-01", "2024-07-01"],
        rows={"train": 70, "validation": 10, "test": 20},
    )
    evaluation = Evaluation(
        model_sha256=DIGEST,
        test_sha256="f",
        champion="",
        rows=20,
        threshold=0.5,
        measures=[
            Measure(metric="auc", n=20, value=0.9, low=0.8, high=0.95),
            Measure(metric="auc", slice="shop=a", n=8, value=0.8, low=0.6, high=0.9),
            Measure(metric="auc", slice="shop=b", n=12, value=None, low=None, high=None),
        ],
        comparisons=[],
        confusion=[[8, 2], [1, 9]],
        roc=[[0.5, 0.2, 0.9]],
        score_deciles=[],
        latency_requests=1,
        latency_p50_ms=1,
        latency_p99_ms=1,
        champion_latency_p99_ms=None,
        size_bytes=7,
        load_seconds=0.1,
    )
    rules = [RuleResult(gate="metrics", rule="auc", verdict="pass", reason="auc 0.9 >= 0.8")]
    return Files(
        manifest,
        DataVerdict(passed=True, rows=100, features=3, table_sha256="table", schema_sha256=""),
        evaluation,
        GateReport(passed=True, model_sha256=DIGEST, champion="", rules=rules),
    )


def register(registry: FakeRegistry, files: Files, folder: Path) -> ModelVersion:
    write_contract(files.manifest, folder / "manifest.json")
    return register_model(
        registry,
        manifest=files.manifest,
        verdict=files.verdict,
        evaluation=files.evaluation,
        report=files.report,
        folder=folder,
        image="serve",
    )


def test_the_alias_comes_after_everything_it_promises(registry: FakeRegistry, files: Files, folder: Path) -> None:
    version = register(registry, files, folder)
    assert registry.done == ["upload", "evaluation", "alias staging"]
    assert version.aliases == ["staging"]
    assert version.description == "2024-01-01 to 2024-07-01, 100 rows"
    stored = {path.name for path in (registry.store / "1").iterdir()}
    assert stored == {"model.onnx", "manifest.json", "data_verdict.json", "evaluation.json", "gate_report.json"}


def test_a_closed_gate_keeps_the_candidate_out(registry: FakeRegistry, files: Files, folder: Path) -> None:
    closed = RuleResult(gate="metrics", rule="auc", slice="shop=a", verdict="fail", reason="auc 0.7 < 0.8")
    failed = msgspec.structs.replace(files.report, passed=False, rules=[closed])
    with pytest.raises(GateFailed, match=r"metrics gate: shop=a auc 0\.7 < 0\.8"):
        register(registry, files.changed(report=failed), folder)
    assert registry.versions() == []


@pytest.mark.parametrize(
    "change",
    [
        {"rules": []},
        {"rules": [RuleResult(gate="size", rule="size_megabytes", verdict="fail", reason="9 > 5")]},
        {"rules": [RuleResult(gate="metrics", rule="auc", verdict="not enough data", reason="3 rows")]},
        {"passed": False},
    ],
)
def test_a_report_that_only_claims_to_have_passed_is_refused(
    registry: FakeRegistry, files: Files, folder: Path, change: dict[str, Any]
) -> None:
    with pytest.raises(GateFailed):
        register(registry, files.changed(report=msgspec.structs.replace(files.report, **change)), folder)
    assert registry.done == []


def test_what_the_config_or_a_waiver_lets_through_registers(registry: FakeRegistry, files: Files, folder: Path) -> None:
    let = [
        *files.report.rules,
        RuleResult(gate="size", rule="size_megabytes", verdict="fail", reason="9 > 5", blocking=False, waiver="ada"),
    ]
    register(registry, files.changed(report=msgspec.structs.replace(files.report, rules=let)), folder)
    assert registry.find("staging") is not None


@pytest.mark.parametrize("part", ["evaluation", "report"])
def test_files_from_another_model_are_refused_by_digest(
    registry: FakeRegistry, files: Files, folder: Path, part: str
) -> None:
    other = msgspec.structs.replace(getattr(files, part), model_sha256="0" * 64)
    with pytest.raises(ContractError, match="different models"):
        register(registry, files.changed(**{part: other}), folder)
    assert registry.done == []


def test_a_verdict_about_another_table_is_refused(registry: FakeRegistry, files: Files, folder: Path) -> None:
    other = msgspec.structs.replace(files.verdict, table_sha256="another")
    with pytest.raises(ContractError):
        register(registry, files.changed(verdict=other), folder)


def test_a_newer_version_takes_staging(registry: FakeRegistry, files: Files, folder: Path) -> None:
    register(registry, files, folder)
    register(registry, files, folder)
    assert [v.aliases for v in registry.versions()] == [[], ["staging"]]


def test_resolving_finds_candidate_and_champion(
    registry: FakeRegistry, files: Files, folder: Path, tmp_path: Path
) -> None:
    register(registry, files, folder)
    registry.set_alias("1", "production")
    against = files.changed(report=msgspec.structs.replace(files.report, champion="1"))
    register(registry, against, folder)
    found = resolve_candidate(registry, alias="staging", folder=tmp_path / "fetched")
    assert (found.candidate.version, found.champion and found.champion.version) == ("2", "1")
    assert found.manifest == files.manifest


def test_nothing_in_staging_is_an_error(registry: FakeRegistry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="no version has alias staging"):
        resolve_candidate(registry, alias="staging", folder=tmp_path)


def test_a_model_that_changed_after_registration_is_refused(
    registry: FakeRegistry, files: Files, folder: Path, tmp_path: Path
) -> None:
    register(registry, files, folder)
    (registry.store / "1" / "model.onnx").write_bytes(b"another model")
    with pytest.raises(ContractError, match="changed after registration"):
        resolve_candidate(registry, alias="staging", folder=tmp_path / "fetched")


def test_an_evaluation_swapped_in_the_store_is_refused(
    registry: FakeRegistry, files: Files, folder: Path, tmp_path: Path
) -> None:
    register(registry, files, folder)
    other = msgspec.structs.replace(files.evaluation, model_sha256="0" * 64)
    write_contract(other, registry.store / "1" / "evaluation.json")
    with pytest.raises(ContractError, match="different models"):
        resolve_candidate(registry, alias="staging", folder=tmp_path / "fetched")


def test_gates_against_a_champion_that_is_gone_say_nothing(
    registry: FakeRegistry, files: Files, folder: Path, tmp_path: Path
) -> None:
    register(registry, files, folder)
    registry.set_alias("1", "production")
    register(registry, files, folder)
    with pytest.raises(RegistryError, match="against no champion, production is now 1"):
        resolve_candidate(registry, alias="staging", folder=tmp_path / "fetched")


def test_what_is_in_production_is_not_deployed_again(
    registry: FakeRegistry, files: Files, folder: Path, tmp_path: Path
) -> None:
    against = files.changed(report=msgspec.structs.replace(files.report, champion="1"))
    register(registry, against, folder)
    registry.set_alias("1", "production")
    with pytest.raises(RegistryError, match="in production already"):
        resolve_candidate(registry, alias="staging", folder=tmp_path / "fetched")


def test_quarantine_bars_a_version_and_twice_is_once(
    registry: FakeRegistry, files: Files, folder: Path, tmp_path: Path
) -> None:
    version = register(registry, files, folder)
    assert not is_quarantined(version)
    quarantine(registry, "1")
    quarantine(registry, "1")
    held = registry.find("1")
    assert held is not None
    assert held.aliases == ["quarantined-1"]
    registry.set_alias("1", "staging")
    with pytest.raises(RegistryError, match="version 1 is quarantined"):
        resolve_candidate(registry, alias="staging", folder=tmp_path / "fetched")


def test_the_champion_is_what_production_says(
    registry: FakeRegistry, files: Files, folder: Path, tmp_path: Path
) -> None:
    assert fetch_champion(registry, tmp_path / "none") == ("", None)
    register(registry, files, folder)
    registry.set_alias("1", "production")
    version, where = fetch_champion(registry, tmp_path / "champion")
    assert version == "1"
    assert where is not None
    assert (where / "model.onnx").read_bytes() == MODEL


def test_undefined_metrics_are_left_out_of_the_console(files: Files) -> None:
    payload = evaluation_payload(files.evaluation, files.report)
    assert payload["metrics"]["auRoc"] == 0.9
    assert payload["metrics"]["confusionMatrix"]["rows"] == [[8, 2], [1, 9]]
    assert payload["metadata"]["model_sha256"] == DIGEST
    slices = slice_payloads(files.evaluation)
    assert [(one["feature"], one["value"], one["metrics"]) for one in slices] == [
        ("shop", "a", {"auRoc": 0.8}),
        ("shop", "b", {}),
    ]
