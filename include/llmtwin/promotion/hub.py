"""A version on the Hugging Face Hub: one commit with adapter and card, and a git tag that names it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llmtwin.errors import EvaluationError, RegistryError
from llmtwin.evaluation.result import Evaluation, read_evaluation
from llmtwin.promotion.card import model_card, public_base_model
from llmtwin.registry import Registry, Version
from llmtwin.registry.adapter import CONFIGURATION, WEIGHTS
from llmtwin.settings import Settings

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_NEW_TOKEN = "set LLMTWIN_HUB_TOKEN to a token that may write, from https://huggingface.co/settings/tokens"


def publish_to_hub(version: str, settings: Settings) -> str:
    """Upload a version; one that is there already changes nothing. Return its URL.

    The repository is made where there is none. What is uploaded names no folder of this machine.

    Raises:
        RegistryError: There is no such version, its files are damaged, the Hub does not answer or refuses, or other
            weights are there under this version.
    """
    repository = settings.hub_repository
    if not repository:
        raise RegistryError("name a repository of the Hugging Face Hub in LLMTWIN_HUB_REPOSITORY: name/my-twin")
    registry = Registry(settings.registry)
    found = registry.verify(version)
    folder, tag = registry.folder_of(version), f"v{version}"
    with _hub(settings, repository, version) as api:
        from huggingface_hub import CommitOperationAdd

        api.create_repo(repository, private=settings.hub_private, exist_ok=True)
        url = f"{api.endpoint}/{repository}/tree/{tag}"
        if tag in {ref.name for ref in api.list_repo_refs(repository).tags}:
            _require_same(api, repository, tag, found)
            return url
        base_model = public_base_model(found, settings.base_model)
        configuration = json.loads((folder / CONFIGURATION).read_bytes()) | {"base_model_name_or_path": base_model}
        card = model_card(found, _evaluation(found, settings), repository, tag, base_model)
        files: dict[str, str | bytes] = {
            CONFIGURATION: json.dumps(configuration, indent=2, sort_keys=True).encode(),
            WEIGHTS: str(folder / WEIGHTS),
            "README.md": card.encode(),
        }
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        commit = api.create_commit(repository, operations, commit_message=f"Version {version}")
        api.create_tag(repository, tag=tag, revision=commit.oid, exist_ok=True)
        return url


@contextmanager
def _hub(settings: Settings, repository: str, version: str) -> Iterator[HfApi]:
    """Yield the Hub's client; its errors are ours."""
    import httpx2  # what the Hub's client speaks HTTP with
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    token = settings.hub_token.get_secret_value() if settings.hub_token else None
    at = f"version {version} is not published at {repository} on the Hugging Face Hub"
    try:
        yield HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
    except HfHubHTTPError as error:
        status = error.response.status_code
        todo = {
            401: f"the token is missing or wrong: {_NEW_TOKEN}",
            403: f"the token may not write there: {_NEW_TOKEN}, or correct LLMTWIN_HUB_REPOSITORY",
            404: "no such repository, or the token may not see it: correct LLMTWIN_HUB_REPOSITORY or the token",
        }.get(status, f"{error}; `llmtwin registry publish` tries again")
        raise RegistryError(f"{at} (HTTP {status}): {todo}") from error
    except (httpx2.HTTPError, OSError) as error:
        raise RegistryError(
            f"{at}: it cannot be reached ({error!r}); `llmtwin registry publish` tries again"
        ) from error
    # ValueError: a name or card that it does not take. RuntimeError: its upload protocol, hf_xet.
    except (ValueError, RuntimeError) as error:
        raise RegistryError(f"{at}: {error}") from error


def _require_same(api: HfApi, repository: str, tag: str, version: Version) -> None:
    from huggingface_hub.hf_api import RepoFile

    for file in api.get_paths_info(repository, [WEIGHTS], revision=tag):
        if isinstance(file, RepoFile) and file.lfs is not None and file.lfs.sha256 == version.digest:
            return
    raise RegistryError(
        f"{repository} has other weights as {tag}: it belongs to another registry; name another LLMTWIN_HUB_REPOSITORY"
    )


def _evaluation(version: Version, settings: Settings) -> Evaluation | None:
    """Return what was measured of exactly these weights; None where nothing was."""
    try:
        found = read_evaluation(settings, version.version)
    except EvaluationError:
        return None
    identities = {card.identity for card in found.models if card.role == "candidate"}
    return found if identities == {version.digest} else None
