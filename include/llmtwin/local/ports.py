"""Ports of this machine: a free one, and who holds a busy one."""

from __future__ import annotations

import contextlib
import errno
import socket

import psutil

from llmtwin.errors import LocalStackError, PortInUseError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Tell whether a server could listen on ``port`` of the loopback interface.

    Raises:
        LocalStackError: The port may not be opened by this user.
    """
    with socket.socket() as probe:
        # As servers do: a port whose last connections are still closing (TIME_WAIT) counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise LocalStackError(f"port {port} cannot be opened: {error.strerror}; choose one above 1023") from error
    return True


def holder(port: int) -> str | None:
    """Return who listens on ``port`` as ``name (pid 123)``, or None when this user may not see it."""
    with contextlib.suppress(psutil.AccessDenied):
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                with contextlib.suppress(psutil.NoSuchProcess):
                    return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return None


def require_free(port: int, service: str, setting: str, url_setting: str | None = None) -> None:
    """Make sure that ``service`` can listen on ``port``.

    Args:
        port: The port.
        service: Whose port it is, for the message.
        setting: The environment variable that moves it.
        url_setting: The environment variable that names a server to use instead, where there is one.

    Raises:
        PortInUseError: Somebody listens there already; says who, and both ways out.
    """
    if is_free(port):
        return
    message = f"port {port}, wanted by {service}, is taken by {holder(port) or 'another program'}: set {setting}"
    if url_setting:
        message += f" to another port, or {url_setting} to use the server that is there"
    else:
        message += " to another port, or stop that program"
    raise PortInUseError(message)
