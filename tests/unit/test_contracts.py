"""Contracts are validated where they are read."""

import msgspec
import pytest

from interlock.contracts import (
    DataVerdict,
    ModelVersion,
    Place,
    Table,
    parse_place,
    read_contract,
    write_contract,
)
from interlock.errors import ContractError

TABLE = Table(source="x.csv", rows=3, columns=[], sha256="0" * 64)


def test_round_trip_is_equal_and_equal_values_are_equal_bytes(tmp_path):
    write_contract(TABLE, tmp_path / "a.json")
    write_contract(read_contract(tmp_path / "a.json", Table), tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert b'"contract": "table/v1"' in (tmp_path / "a.json").read_bytes()


def test_another_contract_is_refused(tmp_path):
    write_contract(TABLE, tmp_path / "a.json")
    with pytest.raises(ContractError, match="not a data-verdict/v1"):
        read_contract(tmp_path / "a.json", DataVerdict)


@pytest.mark.parametrize("text", ["", "{", '{"contract":"table/v1"}', '{"contract":"table/v2","rows":1}', "[1]"])
def test_damaged_files_are_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ContractError, match=r"a\.json"):
        read_contract(tmp_path / "a.json", Table)


def test_unknown_fields_are_refused(tmp_path):
    raw = msgspec.to_builtins(TABLE) | {"more": 1}
    (tmp_path / "a.json").write_bytes(msgspec.json.encode(raw))
    with pytest.raises(ContractError, match="more"):
        read_contract(tmp_path / "a.json", Table)


def test_a_missing_file_names_the_folder(tmp_path):
    with pytest.raises(ContractError, match="re-run the stage"):
        read_contract(tmp_path / "a.json", Table)


def test_place_is_text_in_a_pipeline():
    place = Place(project="p", location="l", bucket="b", warehouse="sqlite://")
    assert parse_place(msgspec.json.encode(place).decode()) == place
    with pytest.raises(ContractError, match="place/v1"):
        parse_place("{}")


def test_a_version_names_its_resource():
    version = ModelVersion(name="projects/p/locations/l/models/m", version="3", aliases=[], artifact_uri="gs://b/m")
    assert version.resource == "projects/p/locations/l/models/m@3"
