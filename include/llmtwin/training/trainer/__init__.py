"""The training process: ``python -m llmtwin.training.trainer <run's folder> <stage> <checkpoint or ''>``.

Nothing else imports this package, so it may import what is heavy.
"""
