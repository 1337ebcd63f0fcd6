"""vLLM's own Python environment: it pins hundreds of packages that the platform's environment has in other versions.

It is made when it is first asked for. An installation that was cut short begins anew, with what pip had downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import FileLock

from llmtwin.errors import LocalStackError
from llmtwin.local.bootstrap import CPU_TORCH_INDEX, install_packages
from llmtwin.settings import Settings
from serving.vllm.launcher import Device, preloaded_libraries

REQUIREMENTS = Path(__file__).parent
# Measured: 2.5 GB installed, 0.7 GB downloaded by pip, 0.3 GB of model; with CUDA's libraries, five times as much.
_DISK_BYTES: dict[Device, int] = {"cpu": 4 * 10**9, "gpu": 15 * 10**9}
# Measured with the default model: 3.1 GB.
_MEMORY_BYTES = 3_500_000_000


@dataclass(frozen=True)
class Environment:
    """An environment that has vLLM, or will.

    Attributes:
        prefix: The folder with ``bin`` and ``lib``.
        requirements: What is to be in it; None for one that others have made, as an image's.
        device: What it is made for.
    """

    prefix: Path
    device: Device
    requirements: Path | None

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return Path(sys.executable) if self.requirements is None else self.prefix / "bin" / "python"

    def is_installed(self) -> bool:
        """Tell whether it holds what its requirements list now."""
        return self.requirements is None or (self._marker.is_file() and self._marker.read_text() == self._fingerprint())

    def install(self) -> None:
        """Install what is missing. Does nothing the second time; one process at a time.

        Raises:
            LocalStackError: Too little room on the disk, or pip fails; carries its reason.
        """
        if self.is_installed():
            return
        self.prefix.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.prefix.parent / f"{self.device}.lock"):
            if not self.is_installed():
                self._require_disk()
                self._install()

    def require_memory(self) -> None:
        """Make sure that there is enough memory to start.

        Raises:
            LocalStackError: There is not.
        """
        free = psutil.virtual_memory().available
        if self.device == "cpu" and free < _MEMORY_BYTES:
            raise LocalStackError(
                f"vLLM needs {_MEMORY_BYTES / 1e9:.1f} GB of memory with the smallest model, and {free / 1e9:.1f} GB "
                "are available: end other programs, or set VLLM_URL to a vLLM that runs elsewhere"
            )

    @property
    def _marker(self) -> Path:
        return self.prefix / "complete"

    def _fingerprint(self) -> str:
        assert self.requirements is not None
        return hashlib.sha256(self.requirements.read_bytes() + sys.version.encode()).hexdigest()

    def _install(self) -> None:
        assert self.requirements is not None
        say(f"installing vLLM into {self.prefix}: a minute or more, once")
        shutil.rmtree(self.prefix, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", str(self.prefix)])
        if self.device == "cpu":
            self._install_cpu_torch()
            # Complete without dependencies: some of those that vLLM names break it, or bring CUDA along.
            self._pip("install", "--no-compile", "--no-deps", "--requirement", str(self.requirements))
        else:
            self._pip("install", "--no-compile", "--requirement", str(self.requirements))
        self._marker.write_text(self._fingerprint())

    def _install_cpu_torch(self) -> None:
        """Install the CPU build of torch from where pip looks anyway, or from PyTorch."""
        assert self.requirements is not None
        torch = next(line for line in self.requirements.read_text().splitlines() if line.startswith("torch=="))
        report = self._pip("install", "--dry-run", "--no-deps", "--report", "-", torch)
        offered = json.loads(report)["install"][0]["metadata"]["version"]
        index = [] if offered.endswith("+cpu") else ["--index-url", CPU_TORCH_INDEX]
        self._pip("install", "--no-compile", "--no-deps", *index, f"{torch}+cpu")

    def _pip(self, *arguments: str) -> str:
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check", "--quiet"]
        return _run([*pip, *arguments])

    def _require_disk(self) -> None:
        free, needed = shutil.disk_usage(self.prefix.parent).free, _DISK_BYTES[self.device]
        if free < needed:
            raise LocalStackError(
                f"vLLM needs {needed / 1e9:.0f} GB on the disk of {self.prefix.parent}, and {free / 1e9:.1f} GB are "
                "free: make room, set LLMTWIN_DATA_DIR to a larger disk, or VLLM_URL to a vLLM that runs elsewhere"
            )


def find_environment(settings: Settings, device: Device) -> Environment:
    """Return the environment for a device: this one where it has vLLM, else one under the data folder."""
    if importlib.util.find_spec("vllm") is not None:
        return Environment(Path(sys.prefix), device, None)
    return Environment(settings.data / "vllm" / device, device, REQUIREMENTS / f"requirements-{device}.txt")


def require_system_packages(environment: Environment) -> None:
    """Install what vLLM on the CPU wants of the system: a compiler, and an allocator that makes it faster.

    Raises:
        SystemExit: There is no compiler, and it may not or cannot be installed; says what to install.
    """
    if environment.device == "gpu":
        return
    allocator = "libtcmalloc-minimal4"
    missing = [] if any("tcmalloc" in path.name for path in preloaded_libraries(environment.prefix)) else [allocator]
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        install_packages(["g++", *missing])  # PyTorch compiles kernels for the CPU at hand, while vLLM answers
    elif missing and os.geteuid() == 0:
        try:
            install_packages(missing)
        except SystemExit as failure:
            say(f"{failure}\nvLLM is slower without {allocator}; going on")


def say(text: str) -> None:
    """Tell the user what takes so long."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = "\n".join(done.stderr.strip().splitlines()[-5:])
        raise LocalStackError(f"`{' '.join(command)}` failed; run the same again to go on:\n{reason}")
    return done.stdout
