from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from llmtwin.errors import PortInUseError
from llmtwin.local.ports import free_port, holder, is_free, require_free


@pytest.fixture
def taken() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener:
        yield listener.getsockname()[1]


def test_a_free_port_is_free() -> None:
    port = free_port()
    assert is_free(port)
    require_free(port, "x", "X_PORT")


def test_a_taken_port_is_named_with_its_holder_and_the_ways_out(taken: int) -> None:
    assert not is_free(taken)
    assert f"pid {os.getpid()}" in str(holder(taken))
    with pytest.raises(PortInUseError, match=rf"{taken}.*qdrant.*pid {os.getpid()}.*set Q_PORT.*or Q_URL"):
        require_free(taken, "qdrant", "Q_PORT", "Q_URL")
    with pytest.raises(PortInUseError, match="or stop that program"):
        require_free(taken, "epmd", "E_PORT")


def test_a_port_whose_last_connection_is_still_closing_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        server, _ = listener.accept()
        server.close()  # the side that closes first keeps the port in TIME_WAIT
        client.close()
    assert is_free(port)
