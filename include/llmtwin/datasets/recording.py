"""A dataset in Comet, beside the experiments that it is for: as an artifact, or in an archive of this machine."""

from __future__ import annotations

from pathlib import Path

import orjson

from llmtwin.datasets.dataset import Dataset
from llmtwin.errors import DatasetError
from llmtwin.files import write_json
from llmtwin.settings import Settings
from llmtwin.tracking import experiment, log_files

_EXPERIMENTS = "experiments.json"


def record(settings: Settings, dataset: Dataset) -> str:
    """Log a dataset with its card and its counts, once; return the key of the experiment that holds it.

    Args:
        settings: Comet's key, or the folder of archives.
        dataset: A built one.

    Raises:
        TrackingError: The archive could not be written.
        DatasetError: The note of what was logged is damaged.
    """
    file = dataset.folder.parent / _EXPERIMENTS
    known = _read(file)
    if (key := known.get(dataset.version)) is not None:
        return key
    with experiment(settings, f"dataset {dataset.reference}", ["dataset"]) as comet:
        manifest = dataset.manifest
        comet.log_parameters({name: str(value) for name, value in manifest["options"].items()})
        comet.log_others({"dataset": dataset.reference, "digest": dataset.digest, "author": dataset.author or "all"})
        for config, splits in manifest["counts"].items():
            for split, types in splits.items():
                comet.log_metrics({f"{config}/{split}/{type_}": count for type_, count in types.items()})
        if teacher := manifest["teacher"]:
            comet.log_metrics({f"teacher/{name}": teacher[name] for name in ("requests", "prompt_tokens", "cost")})
        log_files(comet, f"dataset-{dataset.name}", "dataset", dataset.folder, {"version": dataset.version})
        found = str(comet.get_key())
    write_json(file, known | {dataset.version: found}, indent=True)
    return found


def _read(file: Path) -> dict[str, str]:
    try:
        return {str(version): str(key) for version, key in orjson.loads(file.read_bytes()).items()}
    except FileNotFoundError:
        return {}
    except (orjson.JSONDecodeError, AttributeError) as error:
        raise DatasetError(f"{file} is damaged: remove it, and the dataset is logged once more") from error
