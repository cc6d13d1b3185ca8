"""Model evaluations and their slices. Names carry the bare model; a parent ``X@v`` selects the version."""

from __future__ import annotations

from typing import Any

import msgspec

from interlock.emulator.call import Call
from interlock.emulator.listing import page
from interlock.emulator.models import Models
from interlock.emulator.names import new_id, timestamp
from interlock.emulator.rpc import Document, not_found
from interlock.emulator.store import Store, public
from interlock.emulator.versions import split_version


class _Import(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    model_evaluation: dict[str, Any]


class _ImportSlices(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    model_evaluation_slices: list[dict[str, Any]]


class Evaluations:
    """Evaluations in the store."""

    def __init__(self, store: Store, models: Models) -> None:
        self._store = store
        self._models = models

    def import_evaluation(self, call: Call) -> Document:
        """ImportModelEvaluation: kept as given, under a new id."""
        model, version = self._models.read(call.ids[0])
        given = call.typed(_Import).model_evaluation
        evaluation = {
            **public(given),
            "name": f"{model['name']}/evaluations/{new_id()}",
            "createTime": timestamp(),
            "_version": version["versionId"],
        }
        return _answer(self._store.put("evaluation", evaluation))

    def list_evaluations(self, call: Call) -> Document:
        """ListModelEvaluations of a version, or of all versions when the parent names none."""
        model, version = self._models.read(call.ids[0])
        wanted = version["versionId"] if split_version(call.ids[0])[1] else ""
        found = self._store.all("evaluation", model["name"])
        matching = [_answer(item) for item in found if not wanted or item["_version"] == wanted]
        return page(matching, call.query, "modelEvaluations")

    def get(self, call: Call) -> Document:
        """GetModelEvaluation."""
        return _answer(self._read(call))

    def import_slices(self, call: Call) -> Document:
        """BatchImportModelEvaluationSlices: all or none."""
        evaluation = self._read(call)
        names = []
        with self._store.transaction():
            for given in call.typed(_ImportSlices).model_evaluation_slices:
                name = f"{evaluation['name']}/slices/{new_id()}"
                self._store.put("slice", {**public(given), "name": name, "createTime": timestamp()})
                names.append(name)
        return {"importedModelEvaluationSlices": names}

    def list_slices(self, call: Call) -> Document:
        """ListModelEvaluationSlices."""
        found = self._store.all("slice", self._read(call)["name"])
        return page([_answer(item) for item in found], call.query, "modelEvaluationSlices")

    def get_slice(self, call: Call) -> Document:
        """GetModelEvaluationSlice."""
        name = f"{self._read(call)['name']}/slices/{call.ids[2]}"
        found = self._store.get(name)
        if found is None:
            raise not_found(name)
        return _answer(found)

    def _read(self, call: Call) -> Document:
        model, _ = self._models.read(split_version(call.ids[0])[0])
        name = f"{model['name']}/evaluations/{call.ids[1]}"
        # A name with @version does not exist, as the client expects.
        found = None if "@" in call.ids[0] else self._store.get(name)
        if found is None:
            raise not_found(name)
        return found


def _answer(document: Document) -> Document:
    answer = public(document)
    answer.pop("etag", None)
    return answer
