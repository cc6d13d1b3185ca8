"""KServe's SDK server, V1 protocol, one worker."""

from __future__ import annotations

import os

from flights_model import FlightsModel
from kserve import Model, ModelServer


class Flights(Model):
    def __init__(self) -> None:
        super().__init__("flights")
        self._model = FlightsModel(os.environ["PEER_FOLDER"], os.environ["PEER_ENGINE"])
        self.ready = True

    def predict(self, payload: dict, headers: dict | None = None, response_headers: dict | None = None) -> dict:
        return {"predictions": self._model.rows(payload["instances"])}


if __name__ == "__main__":
    ModelServer(
        http_port=int(os.environ["PEER_PORT"]),
        enable_grpc=False,
        workers=1,
        access_log_format="",
        enable_docs_url=False,
    ).start([Flights()])
