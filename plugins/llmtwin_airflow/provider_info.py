"""Tells Airflow about the RabbitMQ connection type, so that the UI offers it with a form and a test button."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow's provider discovery reads through the entry point in pyproject.toml."""
    return {
        "package-name": "llmtwin",
        "name": "llmtwin",
        "description": "RabbitMQ for the micro-batch DAG",
        "connection-types": [
            {
                "connection-type": "rabbitmq",
                "hook-class-name": "llmtwin_airflow.hooks.RabbitMQHook",
                "hook-name": "RabbitMQ",
                "ui-field-behaviour": {
                    "relabeling": {"schema": "Virtual host"},
                    "placeholders": {"host": "127.0.0.1", "port": "5672", "schema": "/"},
                },
            }
        ],
    }
