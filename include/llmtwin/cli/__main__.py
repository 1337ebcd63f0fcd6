"""``python -m llmtwin.cli``: the ``llmtwin`` command where its script is not on PATH."""

from llmtwin.cli import main

if __name__ == "__main__":
    main()
