"""The local web page: what the registry, the endpoints, the journal and the pipelines say, as they change.

Server-rendered HTML and a little script. It reads through the same adapters as everything else and changes one
thing only: a rollback that a person orders.
"""
