"""The Vertex AI API on loopback, for the unmodified ``google-cloud-aiplatform`` client.

::

    app            HTTP in and out: routes, bodies, google.rpc errors
    ├── models, evaluations, endpoints, pipeline_jobs, operations    one service each, documents in a store
    ├── prediction      the hot path: traffic split, proxy, serving log
    ├── deployments     deployed models as supervised server processes (replica)
    └── job_process     one process per pipeline job
    store          SQLite documents, one transaction a change

Everything runs on one event loop, so a handler without ``await`` is atomic; what must survive a kill is in
the store before it is answered. What the real service does and could not be verified is called "Assumption".
"""
