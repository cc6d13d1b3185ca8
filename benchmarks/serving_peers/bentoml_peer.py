"""BentoML, one worker, no adaptive batching."""

from __future__ import annotations

import os

import bentoml
from flights_model import FlightsModel


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, metrics={"enabled": False})
class Flights:
    def __init__(self) -> None:
        self._model = FlightsModel(os.environ["PEER_FOLDER"], os.environ["PEER_ENGINE"])

    @bentoml.api(route="/predict")
    def predict(self, instances: list[dict]) -> dict:
        return {"predictions": self._model.rows(instances)}
