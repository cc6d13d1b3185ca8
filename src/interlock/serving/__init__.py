"""The model server: Vertex AI custom-container contract, ONNX only; ``python -m interlock.serving``.

::

    server.py   settings -> bound socket -> loaded, warmed model -> uvicorn; drains on SIGTERM
    fetch.py    AIP_STORAGE_URI -> local folder
    model.py    folder -> Model, after its digests agree with the manifest; also for offline scoring
    app.py      routes, limits, headers, error bodies (raw ASGI)
    decode.py   request body -> columns, or one sentence saying what is wrong with it
    metrics.py  counters -> Prometheus text
"""
