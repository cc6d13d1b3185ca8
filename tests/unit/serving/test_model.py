"""Folders that must not be served."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from interlock.contracts import InputField, Manifest, Signature, write_contract
from interlock.errors import ContractError, InputError
from interlock.serving.model import load_model


def write_folder(folder: Path, *, kind: str = "number", names: tuple[str, ...] = ("a",)) -> None:
    (folder / "model.onnx").write_bytes(b"not a graph")
    inputs = [InputField(name=name, kind=kind) for name in names]
    write_contract(Signature(task="binary", inputs=inputs, threshold=0.5), folder / "signature.json")
    write_contract(
        Manifest(
            name="m",
            model_sha256=digest(folder / "model.onnx"),
            signature_sha256=digest(folder / "signature.json"),
            features_sha256="",
            table_sha256="",
            config_sha256="",
            config="",
            seed=1,
            window=[],
            rows={},
        ),
        folder / "manifest.json",
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pickle_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"no model.onnx or model.joblib in .*"):
        load_model(tmp_path)


def test_a_missing_manifest_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(ContractError, match=r"manifest.json is missing"):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["model.onnx", "signature.json"])
def test_one_changed_byte_is_refused(tmp_path: Path, name: str) -> None:
    write_folder(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b"\n")
    with pytest.raises(ContractError, match=f"{name} has sha256 .* but manifest.json says"):
        load_model(tmp_path)


def test_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, kind="image")
    with pytest.raises(ContractError, match="'a' is of kind 'image'"):
        load_model(tmp_path)


@pytest.mark.parametrize("names", [(), ("a", "a")])
def test_inputs_must_be_named_once(tmp_path: Path, names: tuple[str, ...]) -> None:
    write_folder(tmp_path, names=names)
    with pytest.raises(ContractError, match="one or more inputs with different names"):
        load_model(tmp_path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with pytest.raises(ContractError, match=r"model.onnx cannot be loaded: .*export the model again"):
        load_model(tmp_path)
