"""How a request fails: a status and a message, worded as Qdrant does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llmtwin.errors import LlmtwinError


class RequestError(LlmtwinError):
    """The request cannot be served.

    Args:
        status: The HTTP status.
        reason: What the client reads under ``status.error``.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class WrongInputError(RequestError):
    """The request is well-formed but asks for something that is wrong or not offered here."""

    def __init__(self, reason: str) -> None:
        super().__init__(400, f"Wrong input: {reason}")


class NotFoundError(RequestError):
    """The request names something that is not there."""

    def __init__(self, what: str) -> None:
        super().__init__(404, f"Not found: {what}")


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turn what the engine raises into a `RequestError`.

    The engine reports nearly everything as a bare ``Exception``, so the text has to tell a fault of the request from
    one of the storage. A Rust panic arrives as a ``BaseException`` of a class that cannot be imported.
    """
    try:
        yield
    except RequestError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0]
        if reason.startswith("No point with id"):
            raise NotFoundError(reason) from error
        if reason.startswith(("Service runtime error", "IO Error", "Out of memory")) or isinstance(error, OSError):
            raise RequestError(500, f"Service internal error: {reason}") from error
        raise WrongInputError(reason) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise RequestError(500, f"Service internal error: the engine panicked: {error}") from error
