"""From a run's folder to its adapter, stage by stage."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from llmtwin.training.trainer.failures import explained


def main() -> None:
    """Train the run that the command line names, from where it names."""
    end_with_parent()
    folder, stage, checkpoint = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    with explained(folder):
        from llmtwin.training.run import read_run
        from llmtwin.training.trainer.stages import run_stages

        run_stages(read_run(folder), stage, Path(checkpoint) if checkpoint else None)


def end_with_parent() -> None:
    """End this process when whoever started it is gone, for nobody would see what it does, or stop it."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    main()
