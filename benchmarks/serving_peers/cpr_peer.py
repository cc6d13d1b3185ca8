"""Vertex AI custom prediction routine: a predictor for google.cloud.aiplatform.prediction."""

from __future__ import annotations

import os

from flights_model import FlightsModel
from google.cloud.aiplatform.prediction.predictor import Predictor


class FlightsPredictor(Predictor):
    """JSON in, JSON out by the default handler and serializer."""

    def load(self, artifacts_uri: str, **_kwargs) -> None:
        self._model = FlightsModel(artifacts_uri, os.environ["PEER_ENGINE"])

    def predict(self, instances: dict) -> dict:
        return {"predictions": self._model.rows(instances["instances"])}
