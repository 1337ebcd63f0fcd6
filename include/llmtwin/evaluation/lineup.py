"""Which models are compared: the candidate, what is in production, the base model, and another author's twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from uuid import UUID

from llmtwin.documents import user_id
from llmtwin.errors import EvaluationError, RegistryError
from llmtwin.evaluation.served import Model, Vllm
from llmtwin.registry import Registry, Version, load
from llmtwin.registry.version import is_same_model
from llmtwin.settings import Settings

CANDIDATE, PRODUCTION, BASE, CONTROL = "candidate", "production", "base", "control"


@dataclass(frozen=True)
class Lineup:
    """The versions under comparison.

    Attributes:
        candidate: What is evaluated.
        in_production: The version that is served as ``twin`` now, whether it is compared or not; None where none is.
        production: The same as far as it is compared; None where nothing is served, or `missing` says why not.
        control: A twin of another author; None where there is none.
        base: Whether the base model is compared.
        missing: Why a model is not among them, by its role.
        trained_on: The ids of the documents that a version was trained on, by its role, where that is known.
        notes: What a reader should know of it.
    """

    candidate: Version
    in_production: str | None
    production: Version | None
    control: Version | None
    base: bool
    missing: dict[str, str]
    trained_on: Mapping[str, frozenset[str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, Version | None]:
        """By role, the base model's version being None; the candidate first."""
        found: dict[str, Version | None] = {CANDIDATE: self.candidate}
        if self.base:
            found[BASE] = None
        if self.production:
            found[PRODUCTION] = self.production
        if self.control:
            found[CONTROL] = self.control
        return found

    def known_to(self, *roles: str) -> frozenset[str]:
        """Return the ids of the documents that any version in one of these roles was trained on."""
        return frozenset().union(*(self.trained_on.get(role, frozenset()) for role in roles))


def line_up(
    settings: Settings, version: str, authors: Set[UUID], against: Sequence[str], control: str | None
) -> Lineup:
    """Return which models are to be compared.

    Args:
        settings: Where the registry is, and which base model is served.
        version: The candidate.
        authors: Ids of all whose dataset it is measured on.
        against: ``base``, ``production``, both or none.
        control: A version; by default the newest twin of another author.

    Raises:
        RegistryError: There is no such version.
        EvaluationError: A version that was named was trained on another base model.
    """
    registry = Registry(settings.registry)
    candidate = registry.get(version)
    _require_same_base(candidate, settings)
    missing: dict[str, str] = {}
    served = registry.production()
    in_production = served.version if served else None
    production = served if PRODUCTION in against else None
    if PRODUCTION in against and production is None:
        missing[PRODUCTION] = "nothing is in production yet"
    elif production and production.version == version:
        production, missing[PRODUCTION] = None, "the candidate is in production itself"
    elif production and not is_same_model(production.base_model, settings.base_model):
        reason = f"version {production.version} in production was trained on {production.base_model}"
        production, missing[PRODUCTION] = None, f"{reason}, and {settings.base_model} is served now"
    if control is not None:
        named = registry.get(control)
        _require_same_base(named, settings)
        return Lineup(candidate, in_production, production, named, BASE in against, missing)
    chosen = _another_authors(registry, candidate, authors, settings)
    if chosen is None:
        missing[CONTROL] = "the registry holds no twin of another author on this base model"
    return Lineup(candidate, in_production, production, chosen, BASE in against, missing)


def load_model(role: str, version: Version | None, settings: Settings, vllm: Vllm) -> Model:
    """Return a model that is ready for requests, its adapter loaded.

    Raises:
        RegistryError: The files are not what was registered.
        VllmError: vLLM does not answer, or refuses the adapter.
    """
    if version is None:
        return Model(role, vllm.base_name, vllm.base_root)
    return Model(role, load(version.version, settings), version.digest)


def author_of(version: Version | None) -> str | None:
    """Return whose twin a version is, as far as is known."""
    return version.lineage.author if version and version.lineage else None


def _require_same_base(version: Version, settings: Settings) -> None:
    if not is_same_model(version.base_model, settings.base_model):
        raise EvaluationError(
            f"version {version.version} was trained on {version.base_model}, and {settings.base_model} is served: set "
            "LLMTWIN_BASE_MODEL to that and restart vLLM, or train again"
        )


def _another_authors(registry: Registry, candidate: Version, authors: Set[UUID], settings: Settings) -> Version | None:
    """Return the newest usable twin of somebody else."""
    own = author_of(candidate)
    known = authors | ({user_id(own)} if own else set())
    for found in reversed(registry.versions()):
        theirs = author_of(found)
        if theirs is None or user_id(theirs) in known:
            continue
        if not is_same_model(found.base_model, settings.base_model):
            continue
        try:
            return registry.verify(found.version)
        except RegistryError:
            continue  # damaged since: an older one will do as well
    return None
