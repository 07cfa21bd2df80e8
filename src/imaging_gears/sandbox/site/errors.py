"""The site's refusals."""

from __future__ import annotations


class ApiError(Exception):
    """A refusal: becomes ``{"message", "status_code", "detail"}``.

    Args:
        status: HTTP status.
        message: one sentence.
        detail: more, for a program.
    """

    def __init__(self, status: int, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail


def bad_request(message: str, detail: object = None) -> ApiError:
    """Return a 400."""
    return ApiError(400, message, detail)


def forbidden(message: str) -> ApiError:
    """Return a 403."""
    return ApiError(403, message)


def not_found(what: str) -> ApiError:
    """Return a 404 for `what`."""
    return ApiError(404, f"{what} not found.")


def conflict(message: str) -> ApiError:
    """Return a 409."""
    return ApiError(409, message)
