"""Which code is running."""

from __future__ import annotations

import subprocess
from pathlib import Path


def code_revision(home: Path) -> str | None:
    """Return the git commit of a checkout, with ``-dirty`` where tracked files differ from it; None outside of one."""
    command = ["git", "-C", str(home), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
