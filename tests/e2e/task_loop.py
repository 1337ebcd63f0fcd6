"""The tasks of ``sync_features`` in one process, run after run, until SIGTERM: what a test kills at random moments.

One process for all steps and not one for each: starting Python takes longer than most steps, and a kill would mostly
hit imports. Each step is printed before it begins, so that the log tells where a kill hit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from llmtwin import sync
from llmtwin.settings import Settings, get_settings


def main() -> None:
    """Run drain → clean → chunk → embed for every unfinished batch, again and again."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    settings = get_settings()
    while not stop.is_set():
        print("drain", flush=True)
        for batch_id in sync.drain(settings).pending:
            for step in STEPS:
                print(step.__name__, batch_id, flush=True)
                step(batch_id, settings)
        print("wait", flush=True)
        stop.wait(0.2)


STEPS: tuple[Callable[[str, Settings], dict[str, Any]], ...] = (sync.clean, sync.chunk, sync.embed)


if __name__ == "__main__":
    main()
