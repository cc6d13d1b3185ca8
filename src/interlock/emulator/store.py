"""Resources as JSON documents in SQLite, one transaction a change.

A document's ``name`` is its key. Keys that begin with ``_`` are the emulator's own and are never answered.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from interlock.emulator.rpc import Document

_SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  kind TEXT NOT NULL,
  name TEXT NOT NULL UNIQUE,
  document BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS resources_kind ON resources (kind, sequence);
"""


class Store:
    """The documents of one state folder."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        # NORMAL survives a kill of the process; only a power cut may lose the last changes.
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.executescript(_SCHEMA)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All changes inside happen, or none. Joins an open transaction."""
        if self._connection.in_transaction:
            yield
            return
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield

    def get(self, name: str) -> Document | None:
        """The document called ``name``."""
        row = self._connection.execute("SELECT document FROM resources WHERE name = ?", (name,)).fetchone()
        return None if row is None else msgspec.json.decode(row[0])

    def put(self, kind: str, document: Document) -> Document:
        """Write ``document`` under its name with a new etag; returns it."""
        document["etag"] = secrets.token_hex(8)
        with self.transaction():
            self._connection.execute(
                "INSERT INTO resources (kind, name, document) VALUES (?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET document = excluded.document",
                (kind, document["name"], msgspec.json.encode(document)),
            )
        return document

    def delete(self, name: str) -> None:
        """Remove ``name`` and everything below it."""
        with self.transaction():
            self._connection.execute(
                "DELETE FROM resources WHERE name = ? OR substr(name, 1, ?) = ?",
                (name, len(name) + 1, f"{name}/"),
            )

    def all(self, kind: str, parent: str = "") -> list[Document]:
        """Every document of ``kind`` below ``parent``, newest first."""
        prefix = f"{parent}/" if parent else ""
        rows = self._connection.execute(
            "SELECT document FROM resources WHERE kind = ? AND substr(name, 1, ?) = ? ORDER BY sequence DESC",
            (kind, len(prefix), prefix),
        )
        return [msgspec.json.decode(row[0]) for row in rows]

    def close(self) -> None:
        """Close the database file."""
        self._connection.close()


def public(document: Document) -> Document:
    """``document`` as it is answered."""
    return {key: value for key, value in document.items() if not key.startswith("_")}
