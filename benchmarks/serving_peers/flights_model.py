"""The benchmark's model as a peer would load it: scikit-learn pipeline, or the same as ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


class FlightsModel:
    """``engine``: ``sklearn`` or ``onnx``. Rows are objects by feature name; None is missing."""

    def __init__(self, folder: str, engine: str) -> None:
        signature = json.loads((Path(folder) / "signature.json").read_text())
        self.kinds = {field["name"]: field["kind"] for field in signature["inputs"]}
        if engine == "sklearn":
            import joblib

            self._pipeline = joblib.load(Path(folder) / "model.joblib")
            self._score = self._score_frame
        else:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            self._session = onnxruntime.InferenceSession(
                str(Path(folder) / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
            self._score = self._score_graph

    def rows(self, instances: list[dict]) -> list[float]:
        """Probabilities of rows."""
        return self.columns({name: [row.get(name) for row in instances] for name in self.kinds})

    def columns(self, columns: dict[str, list]) -> list[float]:
        """Probabilities of columns."""
        arrays = {
            name: np.array(columns[name], dtype=np.float32)
            if kind == "number"
            else np.array([value or "" for value in columns[name]], dtype=object)
            for name, kind in self.kinds.items()
        }
        return self._score(arrays)

    def _score_frame(self, arrays: dict) -> list[float]:
        import pandas as pd

        frame = pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in arrays.items()})
        return self._pipeline.predict_proba(frame)[:, 1].tolist()

    def _score_graph(self, arrays: dict) -> list[float]:
        feeds = {name: values.reshape(-1, 1) for name, values in arrays.items()}
        return self._session.run(["probabilities"], feeds)[0][:, 1].tolist()
