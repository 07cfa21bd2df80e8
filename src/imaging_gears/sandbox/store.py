"""State on disk: documents in SQLite, contents as files beside it.

One connection and one lock serve the process: a write is one transaction, so that version numbers
are unique and a reader sees a document before or after a change, never amid it.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import secrets
import sqlite3
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  kind TEXT NOT NULL, id TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL, doc TEXT NOT NULL,
  PRIMARY KEY (kind, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_parent ON documents (kind, parent, name);
CREATE TABLE IF NOT EXISTS aws_calls (
  number INTEGER PRIMARY KEY, method TEXT, path TEXT, query TEXT, headers TEXT, body BLOB);
"""

_counter = itertools.count(secrets.randbelow(1 << 20))
_process = secrets.token_hex(5)


def new_id() -> str:
    """Return a new 24-hex id; ids of a site ascend with the time of their making, to the second."""
    return f"{int(time.time()):08x}{_process}{next(_counter) & 0xFFFFFF:06x}"


def now() -> str:
    """Return the time as the site writes it, UTC, in milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class StateInUseError(Exception):
    """Another sandbox has the state directory open."""


class Store:
    """The documents and contents of one site.

    Args:
        directory: made when absent, and locked against a second sandbox.
        durable: False trades safety against a power cut for speed.

    Raises:
        StateInUseError: another process has this directory open.
    """

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self.directory = directory
        self.blobs = directory / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self._guard = self._claim(directory / "lock")
        self._lock = threading.RLock()
        self._depth = 0
        self._db = sqlite3.connect(
            directory / "site.sqlite", isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(f"PRAGMA synchronous={'NORMAL' if durable else 'OFF'}")
        self._db.executescript(_SCHEMA)

    @staticmethod
    def _claim(path: Path) -> int:
        handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            msg = f"The state directory {path.parent} is in use by another sandbox."
            raise StateInUseError(msg) from error
        return handle

    def close(self) -> None:
        """Close the database and give up the directory."""
        with self._lock:
            self._db.close()
        os.close(self._guard)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make the writes within the block one transaction; a nested block joins the outer one."""
        with self._lock:
            outermost = self._depth == 0
            if outermost:
                self._db.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                if outermost:
                    self._db.execute("ROLLBACK")
                raise
            else:
                if outermost:
                    self._db.execute("COMMIT")
            finally:
                self._depth -= 1

    # -- documents ----------------------------------------------------------------------------

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of one statement."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def get(self, kind: str, id_: str) -> Json | None:
        """Return a document, or None."""
        rows = self.query("SELECT doc FROM documents WHERE kind=? AND id=?", kind, id_)
        return json.loads(rows[0][0]) if rows else None

    def put(self, kind: str, id_: str, doc: Json, *, parent: str = "", name: str = "") -> None:
        """Insert or replace a document."""
        text = json.dumps(doc, separators=(",", ":"), allow_nan=False)
        self.query("REPLACE INTO documents VALUES (?,?,?,?,?)", kind, id_, parent, name, text)

    def remove(self, kind: str, id_: str) -> None:
        """Delete a document, if it is there."""
        self.query("DELETE FROM documents WHERE kind=? AND id=?", kind, id_)

    def find(self, kind: str, parent: str, name: str) -> Json | None:
        """Return the document of that name below `parent`, or None."""
        sql = "SELECT doc FROM documents WHERE kind=? AND parent=? AND name=? ORDER BY id LIMIT 1"
        rows = self.query(sql, kind, parent, name)
        return json.loads(rows[0][0]) if rows else None

    def children(self, kind: str, parent: str) -> list[Json]:
        """Return the documents below `parent`, oldest first."""
        sql = "SELECT doc FROM documents WHERE kind=? AND parent=? ORDER BY id"
        return [json.loads(text) for (text,) in self.query(sql, kind, parent)]

    def named(self, kind: str, parent: str, name: str) -> list[Json]:
        """Return the documents of that name below `parent`, oldest first."""
        sql = "SELECT doc FROM documents WHERE kind=? AND parent=? AND name=? ORDER BY id"
        return [json.loads(text) for (text,) in self.query(sql, kind, parent, name)]

    def all(self, kind: str) -> list[Json]:
        """Return all documents of a kind, oldest first."""
        sql = "SELECT doc FROM documents WHERE kind=? ORDER BY id"
        return [json.loads(text) for (text,) in self.query(sql, kind)]

    # -- contents -----------------------------------------------------------------------------

    def write_blob(self, data: bytes) -> str:
        """Store a content and return its name."""
        name = secrets.token_hex(16)
        (self.blobs / name).write_bytes(data)
        return name

    def read_blob(self, name: str) -> bytes:
        """Return a content."""
        return (self.blobs / name).read_bytes()
