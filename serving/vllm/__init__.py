"""vLLM behind the gateway: its command, its own environment, its base model, and the guard on its adapters.

``python -m serving.vllm`` becomes the server. It listens on the loopback interface only.
"""
