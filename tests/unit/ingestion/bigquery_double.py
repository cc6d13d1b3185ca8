"""BigQuery's REST API as far as reading goes, over real HTTP: tables and the answers of queries are its state.

https://cloud.google.com/bigquery/docs/reference/rest
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE_ROWS = 7
PROJECT = "/bigquery/v2/projects/p"


class Double(ThreadingHTTPServer):
    """``tables``: schema and rows by ``dataset.table``; ``queries``: a table's name by SQL; ``requests``: as made."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.tables: dict[str, tuple[list[dict[str, str]], list[list[Any]]]] = {}
        self.queries: dict[str, str] = {}
        self.requests: list[str] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Double

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.requests.append(self.path)
        parts = url.path.removeprefix(f"{PROJECT}/").split("/")
        name = f"{parts[1]}.{parts[3]}" if parts[0] == "datasets" else ""
        if parts[0] == "queries":
            self.send(200, {"jobComplete": True, **self.page(parts[1], asked)})
        elif parts[0] == "jobs":
            self.send(200, self.job(parts[1]))
        elif name not in self.server.tables:
            self.send(404, {"error": {"code": 404, "message": f"Not found: Table p:{name}"}})
        elif parts[4:] == ["data"]:
            self.send(200, self.page(name, asked))
        else:
            reference = {"projectId": "p", "datasetId": parts[1], "tableId": parts[3]}
            self.send(200, {"tableReference": reference, "schema": {"fields": self.server.tables[name][0]}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(self.path)
        planned = body.get("configuration", {})  # a job: only plans of queries are asked for
        query = planned.get("query", body)["query"]
        name = self.server.queries.get(query)
        if name is None:
            self.send(400, {"error": {"code": 400, "message": f"Syntax error: {query}"}})
            return
        fields = self.server.tables[name][0]
        if planned:
            assert planned["dryRun"]
            statistics = {"query": {"schema": {"fields": fields}}}
            self.send(200, {**self.job(name), "configuration": planned, "statistics": statistics})
            return
        answer = {"jobComplete": True, "schema": {"fields": fields}, **self.page(name, {})}
        self.send(200, {**answer, "jobReference": {"projectId": "p", "jobId": name, "location": "US"}})

    def job(self, name: str) -> dict[str, Any]:
        """A finished query whose answer is the table of the same name."""
        dataset, table = name.split(".")
        destination = {"projectId": "p", "datasetId": dataset, "tableId": table}
        return {
            "jobReference": {"projectId": "p", "jobId": name, "location": "US"},
            "status": {"state": "DONE"},
            "configuration": {"jobType": "QUERY", "query": {"query": "", "destinationTable": destination}},
        }

    def page(self, name: str, asked: dict[str, str]) -> dict[str, Any]:
        fields, rows = self.server.tables[name]
        wanted = asked.get("selectedFields", ",".join(field["name"] for field in fields)).split(",")
        keep = [i for i, field in enumerate(fields) if field["name"] in wanted]
        first = int(asked.get("pageToken", 0))
        shown = [{"f": [{"v": row[i]} for i in keep]} for row in rows[first : first + PAGE_ROWS]]
        more = {"pageToken": str(first + PAGE_ROWS)} if first + PAGE_ROWS < len(rows) else {}
        return {"totalRows": str(len(rows)), "rows": shown, **more}

    def send(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@contextmanager
def serve() -> Iterator[Double]:
    """The double on a free port, in a thread."""
    with Double() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
