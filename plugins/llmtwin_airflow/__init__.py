"""Airflow's side of llmtwin: a hook, a sensor and a trigger for RabbitMQ, the assets, and settings from connections."""
