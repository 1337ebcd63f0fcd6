"""A build in a process of its own: ``python builder.py AUTHOR [MOST_BYTES]``; prints the reference or the error."""

from __future__ import annotations

import resource
import sys

from llmtwin.datasets import build
from llmtwin.errors import LlmtwinError
from llmtwin.settings import get_settings


def main() -> None:
    """Build with the settings of the environment; no file may grow beyond so many bytes, as on a full disk."""
    if len(sys.argv) > 2:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
    try:
        print(build(get_settings(), sys.argv[1]).reference)
    except LlmtwinError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
