"""How good a version of the twin is: measured on what its author wrote and it has never seen, beside other models."""

from llmtwin.evaluation.evaluation import evaluate
from llmtwin.evaluation.intervals import Estimate
from llmtwin.evaluation.result import Evaluation, Options, folder_of, read_evaluation

__all__ = ["Estimate", "Evaluation", "Options", "evaluate", "folder_of", "read_evaluation"]
