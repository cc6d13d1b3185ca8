"""MLServer with a runtime of our own, V2 protocol, no parallel workers."""

from __future__ import annotations

import asyncio
import os

from flights_model import FlightsModel
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.types import InferenceRequest, InferenceResponse, ResponseOutput


class Flights(MLModel):
    async def load(self) -> bool:
        self._model = FlightsModel(os.environ["PEER_FOLDER"], os.environ["PEER_ENGINE"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        columns = {tensor.name: list(tensor.data) for tensor in payload.inputs}
        scores = self._model.columns(columns)
        output = ResponseOutput(name="probability", shape=[len(scores)], datatype="FP32", data=scores)
        return InferenceResponse(model_name=self.name, outputs=[output])


async def main() -> None:
    port = int(os.environ["PEER_PORT"])
    settings = Settings(
        http_port=port, grpc_port=port + 1, metrics_port=port + 2, parallel_workers=0, host="127.0.0.1", debug=False,
        metrics_endpoint=None, logging_settings=None,
    )  # fmt: skip
    await MLServer(settings).start([ModelSettings(name="flights", implementation=Flights)])


if __name__ == "__main__":
    asyncio.run(main())
