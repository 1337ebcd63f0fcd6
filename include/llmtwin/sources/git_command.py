"""Runs git so that nothing which a repository or a user configures is run with it.

git runs with a bare environment: no system or user configuration, no prompts, no credential helper, and only the
transport that the link needs.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llmtwin.errors import SourceError, UnreachableError

OLDEST_GIT = (2, 37)  # knows http.curloptResolve, by which the address is pinned

# Wins over everything that a repository's own configuration says.
_SAFE_CONFIG = (
    "safe.directory=*",  # nothing configured there is run, so its owner does not matter
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.alternateRefsCommand=",
    "credential.helper=",
    "http.followRedirects=false",
    "http.proxy=",
    "submodule.recurse=false",
    "fetch.recurseSubmodules=false",
    "transfer.bundleURI=false",
    "gc.auto=0",
)
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")


def git_command(*config: str) -> list[str]:
    """Return how a command of git begins, with these settings besides the safe ones."""
    return ["git", *(part for setting in (*_SAFE_CONFIG, *config) for part in ("-c", setting))]


def bare_environment(protocol: str) -> dict[str, str]:
    """Return git's whole environment; it may speak this protocol only (`none`: nothing is ever fetched)."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | {
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


def run(
    link: str, command: Sequence[str], environment: dict[str, str], timeout: float, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end.

    Raises:
        UnreachableError: It did not finish within `timeout` seconds.
    """
    with running(command, environment) as process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as error:
            raise UnreachableError(link, f"git did not finish within {timeout:g} s") from error
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str], stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[bytes]]:
    """Start git in a process group of its own, and leave none of it behind."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        process.wait()


def require_git(link: str) -> None:
    """Check that there is a git new enough to fetch with.

    Raises:
        SourceError: It is older than `OLDEST_GIT`.
    """
    version = run(link, ["git", "version"], bare_environment("none"), timeout=10).stdout.decode()
    numbers = re.search(r"(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST_GIT:
        raise SourceError(
            link, f"cloning needs git {'.'.join(map(str, OLDEST_GIT))} or newer; this is {version.strip()!r}"
        )


def last_line(stderr: bytes | str) -> str:
    """Return the last words of git, which say most."""
    text = stderr.decode("utf-8", "replace") if isinstance(stderr, bytes) else stderr
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "git says no more"
