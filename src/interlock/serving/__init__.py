"""The model server: Vertex AI custom-container contract, ``python -m interlock.serving``.

::

    server.py          settings -> bound socket -> loaded, warmed model -> uvicorn; drains on SIGTERM
    workers.py         several of them on one socket
    fetch.py           AIP_STORAGE_URI -> local folder
    model.py           folder -> Model, after its digests agree with the manifest; also for offline scoring
    engines.py         ONNX Runtime; or scikit-learn, where a pickle is allowed
    graph.py trees.py  the model cut at its trees, where that is proved equal
    ensemble.py        those trees read from the file, and
    bitvectors.py      evaluated for many rows at once
    protocol.py        limits on what a client sends, in time and size
    direct.py          the short way of an ordinary prediction
    app.py             routes, headers, error bodies (raw ASGI)
    decode.py          request body -> rows, or one sentence saying what is wrong with it (explain.py)
    inference.py       the same for the Open Inference Protocol
    metrics.py         counters -> Prometheus text
    prediction_log.py  requests and answers -> JSON lines, off the request path
    logs.py            structured logs
"""
