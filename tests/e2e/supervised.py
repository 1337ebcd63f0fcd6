"""A process that is killed and started again, as supervisor or a task runner would."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from llmtwin.local.servers import tail


class Supervised:
    """Runs a command inside a ``with`` block; whatever happens there, it does not outlive the block.

    Attributes:
        kills: The last line in the log at each kill: what the process was doing.
        failures: The exit codes with which it ended although nobody had killed it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.command = list(command)
        self.environment = dict(environment)
        self.log = log
        self.kills: list[str] = []
        self.failures: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if error is not None:
            error.add_note(tail(self.log, 40))

    def start(self) -> None:
        """Start the process where it does not run."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            self.failures.append(code)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=os.environ | self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def wait_for_line(self, start: str, seconds: float) -> None:
        """Wait until the last line of the log starts like this, or so many seconds have passed."""
        deadline = time.monotonic() + seconds
        while not self._last_line().startswith(start) and time.monotonic() < deadline:
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL it and start it again."""
        self.start()
        assert self._process is not None
        self.kills.append(self._last_line())
        self._process.kill()
        self._process.wait()
        self._process = None
        self.start()

    def stop(self, timeout: float = 60.0) -> None:
        """Ask it to end, and see that it does so without an error."""
        self.start()
        assert self._process is not None
        self._process.terminate()
        code = self._process.wait(timeout)
        self._process = None
        assert code == 0, f"{self.command} ended with {code} when asked to end:\n{tail(self.log, 40)}"

    def _last_line(self) -> str:
        return tail(self.log, 1).splitlines()[-1].strip()
