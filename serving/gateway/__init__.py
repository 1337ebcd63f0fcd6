"""The twin as an OpenAI-compatible API: retrieval, prompt, and vLLM behind it."""
