"""Experiments in Comet: recorded online with a key, else in archives of this machine, and read from both alike.

An archive is Comet's own: ``comet upload <archive>.zip`` sends it later, under the same key.
"""

from llmtwin.tracking.contents import Experiment, Point
from llmtwin.tracking.reading import experiments, read_experiment
from llmtwin.tracking.recording import experiment, is_online, log_files

__all__ = ["Experiment", "Point", "experiment", "experiments", "is_online", "log_files", "read_experiment"]
