"""BigQuery's Storage API as far as reading goes, over real gRPC: tables are its state.

Restrictions are run by DuckDB, whose typed literals are BigQuery's.
https://cloud.google.com/bigquery/docs/reference/storage/rpc/google.cloud.bigquery.storage.v1
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import duckdb
import grpc
import pyarrow as pa
from google.cloud.bigquery_storage import (
    BigQueryReadClient,
    CreateReadSessionRequest,
    ReadRowsRequest,
    ReadRowsResponse,
    ReadSession,
    ReadStream,
)
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

MESSAGE_ROWS = 6


class Double:
    """``tables`` by full name (times without zone); ``requests``: sessions as asked for; ``sent``: rows per stream."""

    def __init__(self) -> None:
        self.tables: dict[str, pa.Table] = {}
        self.requests: list[CreateReadSessionRequest] = []
        self.sent: dict[str, int] = {}
        self._selected: dict[str, pa.Table] = {}

    def create_read_session(self, request: CreateReadSessionRequest, context: grpc.ServicerContext) -> ReadSession:
        self.requests.append(request)
        asked = request.read_session
        source = self.tables.get(asked.table)
        if source is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Table {asked.table}")
        names = ", ".join(f'"{name}"' for name in asked.read_options.selected_fields) or "*"
        where = asked.read_options.row_restriction.replace("`", '"') or "TRUE"
        found = duckdb.sql(f"SELECT {names} FROM source WHERE {where}").to_arrow_table()
        name = f"{request.parent}/locations/us/sessions/{len(self.requests)}/streams/0"
        self._selected[name] = found
        answer = ReadSession(name=name.rpartition("/streams/")[0], table=asked.table, data_format=asked.data_format)
        answer.streams.append(ReadStream(name=name))
        answer.arrow_schema.serialized_schema = found.schema.serialize().to_pybytes()
        return answer

    def read_rows(self, request: ReadRowsRequest, context: grpc.ServicerContext) -> Iterator[ReadRowsResponse]:
        batches = self._selected[request.read_stream].slice(request.offset).to_batches(max_chunksize=MESSAGE_ROWS)
        for batch in batches:
            self.sent[request.read_stream] = self.sent.get(request.read_stream, 0) + batch.num_rows
            answer = ReadRowsResponse(row_count=batch.num_rows)
            answer.arrow_record_batch.serialized_record_batch = batch.serialize().to_pybytes()
            yield answer


@contextmanager
def serve() -> Iterator[tuple[Double, Any]]:
    """The double on a free port, and a ``BigQueryReadClient`` of it."""
    double = Double()
    methods = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(
            double.create_read_session, CreateReadSessionRequest.deserialize, ReadSession.serialize
        ),
        "ReadRows": grpc.unary_stream_rpc_method_handler(
            double.read_rows, ReadRowsRequest.deserialize, ReadRowsResponse.serialize
        ),
    }
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    service = "google.cloud.bigquery.storage.v1.BigQueryRead"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield double, BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
    server.stop(None).wait()
