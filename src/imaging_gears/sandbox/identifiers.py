"""The identifier API in both transports, over one table of (mode, adcid, ptid, naccid)."""

from __future__ import annotations

import csv
import json
import secrets
from typing import TYPE_CHECKING, Any

from imaging_gears.sandbox.wire import Call, Reply

if TYPE_CHECKING:
    from pathlib import Path

    from imaging_gears.sandbox.store import Store

Json = dict[str, Any]

FUNCTION = "Identifier-ADCID-PTID-Lambda-Function"
PATH = "/identifiers"
_COLUMNS = ("mode", "adcid", "ptid", "naccid")
_CREATED = "2023-05-01T10:00:00"


class IdentifierTable:
    """Who is who.

    Args:
        store: keeps the table over a restart.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.api_key = self._key()

    def _key(self) -> str:
        doc = self._store.get("meta", "identifiers") or {"key": secrets.token_urlsafe(24)}
        self._store.put("meta", "identifiers", doc)
        return str(doc["key"])

    def add(self, mode: str, adcid: int, ptid: str, naccid: str) -> None:
        """Add or replace a row."""
        row = {"mode": mode, "adcid": adcid, "ptid": ptid, "naccid": naccid}
        self._store.put("identifier", _row_key(mode, adcid, ptid), row)

    def remove(self, mode: str, adcid: int, ptid: str) -> None:
        """Delete a row, if it is there."""
        self._store.remove("identifier", _row_key(mode, adcid, ptid))

    def get(self, mode: str, adcid: int, ptid: str) -> str | None:
        """Return the NACCID, or None."""
        row = self._store.get("identifier", _row_key(mode, adcid, ptid))
        return str(row["naccid"]) if row else None

    def all(self) -> list[Json]:
        """Return all rows."""
        return self._store.all("identifier")

    def from_csv(self, path: Path) -> int:
        """Add the rows of a CSV file (``mode,adcid,ptid,naccid``), and return how many.

        Raises:
            ValueError: another header, or an adcid that is no number.
        """
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if set(_COLUMNS) - set(reader.fieldnames or ()):
                msg = f"{path} needs the columns {', '.join(_COLUMNS)}."
                raise ValueError(msg)
            rows = list(reader)
        for row in rows:
            self.add(row["mode"], int(row["adcid"]), row["ptid"], row["naccid"])
        return len(rows)

    # -- answers ------------------------------------------------------------------------------

    def answer(self, body: bytes) -> tuple[int, Json]:
        """Return status and body for a request: 200, 404 (no such participant) or 400."""
        try:
            request = json.loads(body)
            mode, adcid, ptid = request["mode"], int(request["adcid"]), str(request["ptid"])
        except (ValueError, TypeError, KeyError):
            return 400, {"message": "The request needs mode, adcid and ptid."}
        naccid = self.get(mode, adcid, ptid)
        if naccid is None:
            return 404, {"message": "No matching identifier found."}
        found = {"adcid": adcid, "ptid": ptid, "guid": request.get("guid"), "naccid": naccid}
        found.update(naccadc=4200 + adcid, active=True, created_on=_CREATED)
        return 200, found

    def https(self, call: Call) -> Reply:
        """Answer ``POST /identifiers``, which wants the key in ``x-api-key``."""
        if call.method != "POST":
            return Reply.json({"message": "Method not allowed"}, 405)
        if not call.headers.get("x-api-key"):
            return Reply.json({"message": "Missing Authentication Token"}, 401)
        if call.headers.get("x-api-key") != self.api_key:
            return Reply.json({"message": "Forbidden"}, 403)
        status, body = self.answer(call.body)
        return Reply.json(body, status)

    def invoke(self, function: str, call: Call) -> Reply:
        """Answer a Lambda invocation: the function's own status is within its payload."""
        qualifier = call.query.get("Qualifier", "$LATEST")
        if function != FUNCTION or qualifier not in ("prod", "dev", "$LATEST"):
            body = {"Type": "User", "Message": "Function not found"}
            return Reply(
                404,
                json.dumps(body).encode(),
                {
                    "Content-Type": "application/json",
                    "x-amzn-ErrorType": "ResourceNotFoundException",
                },
            )
        status, answer = self.answer(call.body)
        reply = Reply.json({"statusCode": status, "headers": {}, "body": json.dumps(answer)})
        version = "$LATEST" if qualifier == "$LATEST" else "1"
        reply.headers["X-Amz-Executed-Version"] = version
        return reply


def _row_key(mode: str, adcid: int, ptid: str) -> str:
    return json.dumps([mode, adcid, ptid])
