"""What the training pipeline does, as one plain script: read, TFDV statistics and validation, fit, evaluate.

The yardstick of ``benchmarks/pipeline.py``; runs in an environment of its own (TFDV and scikit-learn together), and
fits on one thread as the pipeline does.
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder
from tensorflow_metadata.proto.v0 import schema_pb2
from threadpoolctl import threadpool_limits

NUMBERS = ["hour", "day_of_week", "distance", "dep_delay", "temp", "humid", "wind_speed", "precip", "visib", "pressure"]
CATEGORIES = ["carrier", "origin", "dest"]


def main(data: Path, schema: Path, start: str, end: str) -> None:
    with zipfile.ZipFile(data / "flights.csv.zip") as archive, archive.open("flights.csv") as stream:
        flights = pd.read_csv(stream)
    flights = flights[(flights.time_hour >= start) & (flights.time_hour < end)].reset_index(drop=True)
    times = pd.to_datetime(flights.time_hour)
    numeric = flights.assign(time_hour=times.astype("int64") // 10**9)
    for name in ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"):
        numeric[name] = numeric[name].astype("Int64")
    statistics = tfdv.generate_statistics_from_dataframe(numeric)
    parsed = text_format.Parse(schema.read_text(), schema_pb2.Schema())
    anomalies = tfdv.validate_statistics(statistics, parsed, environment="TRAINING")

    weather = pd.read_csv(data / "weather.csv")[["origin", "time_hour", *NUMBERS[4:]]]
    rows = flights.merge(weather, on=["origin", "time_hour"], how="left")
    rows["day_of_week"] = times.dt.dayofweek
    rows = rows[rows.arr_delay.notna()].sort_values("time_hour")
    late = (rows.arr_delay > 15).astype(int).to_numpy()
    cut, test = int(len(rows) * 0.7), int(len(rows) * 0.8)
    inputs = rows[NUMBERS + CATEGORIES].astype(dict.fromkeys(NUMBERS, "float32"))
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = ColumnTransformer([("numbers", "passthrough", NUMBERS), ("categories", codes, CATEGORIES)])
    model = Pipeline([("encode", encode), ("estimate", HistGradientBoostingClassifier(max_iter=150, random_state=7))])
    with threadpool_limits(1):
        model.fit(inputs[:cut], late[:cut])

    scores = model.predict_proba(inputs[test:])[:, 1]
    truth, slices = late[test:], rows[test:]
    found = {"auc": roc_auc_score(truth, scores), "ap": average_precision_score(truth, scores)}
    found |= {"log_loss": log_loss(truth, scores), "brier": brier_score_loss(truth, scores)}
    for column in ("carrier", "origin"):
        for value in slices[column].unique():
            mask = (slices[column] == value).to_numpy()
            if 0 < truth[mask].sum() < mask.sum():
                found[f"auc {column}={value}"] = roc_auc_score(truth[mask], scores[mask])
    print(f"{len(rows)} rows, auc {found['auc']:.4f}, {len(anomalies.anomaly_info)} anomalies, {len(found)} metrics")
    assert np.isfinite(list(found.values())).all()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4])
