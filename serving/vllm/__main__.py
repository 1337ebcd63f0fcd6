"""Become vLLM, or with ``--prepare`` install it and make its base model, and end."""

from __future__ import annotations

import argparse
import os
import sys

from llmtwin.base_model import base_model_path
from llmtwin.errors import LlmtwinError
from llmtwin.settings import get_settings
from serving.vllm.environment import find_environment, require_system_packages
from serving.vllm.launcher import device_of, require_possible, server_command, server_environment


def main() -> None:
    """Prepare what is missing, then replace this process by the server, so that signals reach it."""
    parser = argparse.ArgumentParser(prog="python -m serving.vllm", description="Serve the base model and adapters.")
    parser.add_argument("--prepare", action="store_true", help="only install vLLM and make the base model")
    options = parser.parse_args()
    try:
        settings = get_settings()
        device = device_of(settings)
        require_possible(settings, device)
        environment = find_environment(settings, device)
        if options.prepare:
            environment.require_memory()
            require_system_packages(environment)
        environment.install()
        model = base_model_path(settings, environment.python)
        command = server_command(settings, device, str(environment.python), model)
        variables = server_environment(settings, device, environment.prefix, model)
    except LlmtwinError as error:
        sys.exit(str(error))
    if not options.prepare:
        (settings.registry / "adapters").mkdir(parents=True, exist_ok=True)
        os.execve(command[0], command, variables)


if __name__ == "__main__":
    main()
