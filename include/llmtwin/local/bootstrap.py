"""Set up a fresh checkout: virtual environment, requirements, RabbitMQ, MongoDB; for tests a browser.

Run by the system's Python before anything is installed, so the standard library is all it has::

    python3.11 include/llmtwin/local/bootstrap.py [--dev] [--no-servers]

A second run finds everything in place and ends at once; an interrupted one is repaired by the next.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).resolve().parents[3]
VENV = HOME / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "llmtwin-setup.json"
INSTALLING = VENV / "llmtwin-setup.unfinished"

# PyPI's torch for Linux brings gigabytes of CUDA libraries; PyTorch publishes its CPU builds only here.
CPU_TORCH_INDEX = "https://download.pytorch.org/whl/cpu"


def main() -> None:
    """Set up the checkout this file lies in."""
    if sys.version_info[:2] != (3, 11):
        sys.exit(
            f"llmtwin runs on Python 3.11, and this is {sys.version.split()[0]}: install python3.11 (with its venv "
            "module), or name it: `make PYTHON=/path/to/python3.11 …`"
        )
    parser = argparse.ArgumentParser(description="Set up a fresh checkout.")
    parser.add_argument("--dev", action="store_true", help="also what tests and linters need, a browser among it")
    parser.add_argument("--no-servers", action="store_true", help="leave RabbitMQ, MongoDB and the browser out")
    options = parser.parse_args()
    began = time.monotonic()
    requirements = HOME / ("requirements-dev.txt" if options.dev else "requirements.txt")

    packages = missing_packages(with_servers=not options.no_servers)
    if options.dev and not options.no_servers:
        packages += missing_browser()
    if packages:
        install_packages(packages)
    current = is_installed(requirements)
    if not current:
        make_venv()
    # Both wait for the network most of the time, so they wait together.
    mongod = None if options.no_servers else fetch_mongod()
    if not current:
        install(requirements)
    if mongod is not None and mongod.wait() != 0:
        sys.exit(1)
    if packages or mongod is not None or not current:
        say(f"set up in {time.monotonic() - began:.0f} s")


def missing_packages(with_servers: bool) -> list[str]:
    """Return the system packages, by their Debian names, that are needed and not there."""
    missing = []
    if not _can_import("ensurepip"):
        missing.append("python3.11-venv")
    if not shutil.which("git"):
        missing.append("git")
    if with_servers and not runs_elsewhere("RABBITMQ_URL") and not _has_rabbitmq():
        missing.append("rabbitmq-server")
    if with_servers and not runs_elsewhere("MONGODB_URL") and not shutil.which("mongod"):
        libraries = {"libcurl.so.4": "libcurl4", "libssl.so.3": "libssl3"}
        missing += [package for library, package in libraries.items() if not _can_load(library)]
    return missing


def missing_browser() -> list[str]:
    """Return the package of a browser, which tests need and users only for what no other source can read."""
    browsers = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = runs_elsewhere("BROWSER_EXECUTABLE") or any(shutil.which(name) for name in browsers)
    return [] if found else ["chromium"]


def runs_elsewhere(url: str) -> bool:
    """Tell whether a setting, in the environment or in ``.env``, names what is there and not ours to install."""
    names = (url, f"LLMTWIN_{url}")
    if any(os.environ.get(name) for name in names):
        return True
    file = HOME / ".env"
    lines = file.read_text().splitlines() if file.is_file() else []
    return any(
        name.strip() in names and value.strip(" \"'") for name, _, value in (line.partition("=") for line in lines)
    )


def install_packages(packages: list[str]) -> None:
    """Install system packages, or end with one line that says what to install."""
    names = " ".join(packages)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(
            f"please install what is missing and try again: `sudo apt-get install {names}` on Debian and Ubuntu"
            + (" (or set RABBITMQ_URL to a broker that is already there)" if "rabbitmq-server" in packages else "")
        )
    say(f"installing {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install_command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    with services_stay_off():
        done = subprocess.run(install_command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:  # a fresh image has no package lists
            subprocess.run(["apt-get", "update", "--quiet"], env=environment, capture_output=True, check=False)
            done = subprocess.run(install_command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"`{' '.join(install_command)}` failed:\n{done.stderr.strip()}")
    if "rabbitmq-server" in packages and shutil.which("systemctl"):
        # Ours is a private instance; the system's would start at the next boot and take its port.
        subprocess.run(["systemctl", "disable", "rabbitmq-server"], capture_output=True, check=False)


@contextmanager
def services_stay_off() -> Iterator[None]:
    """Keep Debian from starting the services of the packages it installs inside this block."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def is_installed(requirements: Path) -> bool:
    """Tell whether the virtual environment holds what ``requirements`` lists now."""
    if INSTALLING.exists() or not PYTHON.exists() or not STAMP.is_file():
        return False
    wanted = fingerprint(requirements)
    return wanted in json.loads(STAMP.read_text())


def fingerprint(requirements: Path) -> str:
    """Return a digest of everything that decides what is installed."""
    texts = [requirements.name, sys.version]
    texts += [(HOME / name).read_text() for name in ("requirements.txt", "pyproject.toml")]
    texts.append(requirements.read_text())
    # An editable installation knows the packages that were there when it was made.
    texts += sorted(path.parent.name for root in ("include", "plugins") for path in HOME.glob(f"{root}/*/__init__.py"))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def make_venv() -> None:
    """Create the virtual environment, anew when the last installation into it was cut short."""
    if INSTALLING.exists() or not _runs_pip():
        say("creating .venv")
        shutil.rmtree(VENV, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        _pip("install", "--upgrade", "pip")


def install(requirements: Path) -> None:
    """Install ``requirements`` and the project itself into the virtual environment."""
    say(f"installing {requirements.name}: some minutes the first time")
    STAMP.unlink(missing_ok=True)
    INSTALLING.touch()
    _install_cpu_torch()
    _pip("install", "--no-compile", "--requirement", str(requirements), "--editable", str(HOME))
    # pip compiles with one core; without compiling, every first start of every process would.
    site_packages = next((VENV / "lib").glob("python3*/site-packages"))
    compile_all = [str(PYTHON), "-m", "compileall", "-q", "-j", "0", str(site_packages)]
    subprocess.run(compile_all, capture_output=True, check=False)  # some packages ship templates that cannot compile
    current = fingerprint(requirements)
    others = [] if requirements.name == "requirements.txt" else [fingerprint(HOME / "requirements.txt")]
    STAMP.write_text(json.dumps(sorted({current, *others})))
    INSTALLING.unlink()


def fetch_mongod() -> subprocess.Popen[bytes] | None:
    """Begin to fetch MongoDB, unless it is there or a server elsewhere is to be used."""
    folder = HOME / ".local" / "bin"
    if runs_elsewhere("MONGODB_URL") or shutil.which("mongod") or (folder / "mongod").is_file():
        return None
    environment = {**os.environ, "PYTHONPATH": str(HOME / "include")}
    command = [str(PYTHON), "-m", "llmtwin.local.mongod", str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def say(text: str) -> None:
    """Tell the user what is going on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _install_cpu_torch() -> None:
    """Install a CPU build of torch where there is no NVIDIA GPU and one is to be had."""
    if Path("/dev/nvidia0").exists() or shutil.which("nvidia-smi") or sys.platform != "linux":
        return
    found = re.search(r"^torch==\S+", (HOME / "requirements.txt").read_text(), re.MULTILINE)
    if found is None:
        return
    torch = found.group()
    if _offered_version(torch).endswith("+cpu") or not _answers(CPU_TORCH_INDEX):
        return  # pip finds the right one itself, or there is no better one than PyPI's
    _pip("install", "--no-compile", "--no-deps", "--index-url", CPU_TORCH_INDEX, f"{torch}+cpu")


def _offered_version(requirement: str) -> str:
    """Return the version that pip would install under the user's own configuration."""
    command = ["install", "--dry-run", "--quiet", "--no-deps", "--ignore-installed", "--report", "-", requirement]
    done = subprocess.run([str(PYTHON), "-m", "pip", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        return ""
    return str(json.loads(done.stdout)["install"][0]["metadata"]["version"])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/torch/", timeout=3):
            return True
    except (urllib.error.URLError, TimeoutError):
        return False


def _pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "-qq", "--disable-pip-version-check", *arguments]
    if subprocess.run(command, check=False).returncode:
        sys.exit(f"`pip {' '.join(arguments)}` failed; its words are above. Run the same again to go on")


def _runs_pip() -> bool:
    if not PYTHON.exists():
        return False
    done = subprocess.run([str(PYTHON), "-m", "pip", "--version"], capture_output=True, check=False)
    return done.returncode == 0


def _has_rabbitmq() -> bool:
    return Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists() or shutil.which("rabbitmq-server") is not None


def _can_import(module: str) -> bool:
    return subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; run the same again to go on")
