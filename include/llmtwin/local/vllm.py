"""vLLM and the gateway as processes of this machine; what they are lies in ``serving/``, which this only starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from llmtwin.errors import LocalStackError
from llmtwin.local.ports import LOOPBACK
from llmtwin.local.servers import Server
from llmtwin.settings import Settings, settings_environment


class VllmServer(Server):
    """vLLM with the base model, and the adapters of the registry at run time.

    Args:
        folder: Where its log lies when it is started directly.
        settings: Its port, model, registry, and where it is installed.
    """

    name = "vllm"

    def __init__(self, folder: Path, settings: Settings) -> None:
        super().__init__(folder, settings.vllm_port)
        self._settings = settings

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Install vLLM and make its base model, each once; both take about a minute.

        Raises:
            LocalStackError: It cannot be installed here, or settings ask for what cannot be; carries the reason.
        """
        super().prepare()
        command = [*self.command(), "--prepare"]
        environment = os.environ | self.environment()
        done = subprocess.run(command, cwd=self.folder, env=environment, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise LocalStackError(done.stderr.strip())

    def command(self) -> list[str]:
        return [sys.executable, "-m", "serving.vllm"]

    def environment(self) -> dict[str, str]:
        settings = settings_environment(self._settings)
        return super().environment() | settings | serving_environment(self._settings) | {"SPT_NOENV": "1"}

    def is_ready(self) -> bool:
        return answers(f"{self.url}/health")


def serving_environment(settings: Settings) -> dict[str, str]:
    """Return the variables with which a process finds ``serving/``, which is no installed package."""
    paths = [str(settings.home), os.environ.get("PYTHONPATH", "")]
    return {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def answers(url: str) -> bool:
    """Ask once, without waiting, whether a server answers ``url`` with a success."""
    import httpx

    try:
        return httpx.get(url, timeout=5.0, trust_env=False).is_success
    except httpx.TransportError:
        return False
