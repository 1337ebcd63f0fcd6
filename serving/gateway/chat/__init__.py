"""The chat page at ``/``, and what it can ask for besides OpenAI's API."""
