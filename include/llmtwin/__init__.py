"""llmtwin: the data platform that keeps an LLM twin alive.

Each folder is a step of the data's journey:
``documents`` → ``sources`` → ``warehouse`` → ``cdc`` → ``events`` → ``staging`` → ``features`` → ``vectors``.
"""

__version__ = "0.1.0"
