"""What ``twin`` means, changed while it serves.

The registry's index is the switch, replaced in one step: a request reads it once, so it is answered by the version
before or by the one after, never by none. Whatever can fail is done before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import EllipsisType

from llmtwin.errors import AdapterError, GatewayError, LlmtwinError, RegistryError, VllmError
from llmtwin.promotion.hub import publish_to_hub
from llmtwin.promotion.smoke import smoke_test, twin_is
from llmtwin.registry import Registry, Status, Version, load, read_adapter
from llmtwin.settings import Settings


@dataclass(frozen=True)
class Switch:
    """What became of ``twin``.

    Attributes:
        before: The version that was served until now; None: the base model.
        now: The version that is served.
        answer: What the version said when it was tried.
        notes: What could not be made sure of.
    """

    before: str | None
    now: str | None
    answer: str | None = None
    notes: tuple[str, ...] = ()


def choose(wanted: str | None, settings: Settings) -> Version:
    """Return the version of this name, or else the newest candidate.

    Raises:
        RegistryError: There is none, or it is laid aside.
    """
    registry = Registry(settings.registry)
    if wanted is None:
        candidates = [version for version in registry.versions() if version.status is Status.CANDIDATE]
        if not candidates:
            raise RegistryError("there is no candidate in the registry: train one, or name a version")
        return max(candidates, key=lambda version: version.created_at)
    found = registry.get(wanted)
    if found.status is Status.ARCHIVED and found.promoted_at is None:
        raise RegistryError(f"version {wanted} was rejected ({found.reason or 'no reason given'}): train another one")
    return found


def promote(version: str, settings: Settings, *, over: str | EllipsisType | None = ...) -> Switch:
    """Load a version into vLLM, try it through the gateway, serve it as ``twin``; publish it where configured.

    To promote it again does no harm, so a run that was killed can be run again. Whatever fails leaves what is served as
    it was; but for publishing, which comes last and whose failure is a note.

    Args:
        version: A candidate, one that was accepted, or one that was served before.
        settings: Registry, vLLM and gateway.
        over: The version that it was judged against: another one in production by now is an error. None: none was
            in production. By default, the one that is there now.

    Raises:
        RegistryError: There is no such version, it was rejected, its files are damaged, it does not fit the base model
            that is served, or another version was promoted in the meantime.
        VllmError: vLLM is down, or refuses the adapter.
        GatewayError: The gateway is down, or refuses the question.
        PromotionError: The version's answer is not one that a user may get.
    """
    registry = Registry(settings.registry)
    found = choose(version, settings)
    production = registry.production()
    served = production.version if production else None
    if found.status is Status.PRODUCTION:
        return Switch(before=served, now=version, notes=_publish(version, settings))
    judged = served if over is ... else over
    registry.require_production(judged)
    adapter = read_adapter(registry.folder_of(version))
    adapter.require_servable(settings.base_model, settings.vllm_max_lora_rank)
    answer = smoke_test(load(version, settings), settings)
    if found.status is Status.CANDIDATE:
        registry.accept(version)
    registry.promote(version, over=judged)
    return Switch(before=served, now=version, answer=answer, notes=_publish(version, settings))


def reject(version: str, reason: str, settings: Settings) -> Version:
    """Archive a version that is not to be served, and say why. To reject it again does no harm.

    Raises:
        RegistryError: There is no such version, or it is or was in production.
    """
    registry = Registry(settings.registry)
    found = registry.get(version)
    if found.status is Status.ARCHIVED and found.promoted_at is None:
        return found
    return registry.archive(version, reason)


def rollback(settings: Settings) -> Switch:
    """Serve again what was served before: the version before, or the base model where there was none.

    It asks no model, so it takes no longer than loading an adapter does. While vLLM is down, it switches all the same:
    the gateway loads what is in production as soon as vLLM is back.

    Raises:
        RegistryError: Nothing was served before, or the version before is damaged or does not fit the base model that
            is served.
        VllmError: vLLM refuses the version before; what is served stays as it was.
    """
    registry = Registry(settings.registry)
    production, before = registry.production(), registry.before()
    notes = []
    if before is not None:
        registry.verify(before.version)
        _require_servable(registry.folder_of(before.version), before.version, settings)
        try:
            load(before.version, settings)
        except VllmError as error:
            if error.answered:
                raise
            notes.append(f"{error}; the gateway loads version {before.version} when vLLM is back")
    now = registry.rollback(over=production.version if production else None)
    wanted = now.served_name if now else "base"
    try:
        if (said := twin_is(settings)) != wanted:
            notes.append(f"the gateway says that twin is {said}, not {wanted}: does it read the same registry?")
    except GatewayError as error:
        notes.append(str(error))
    return Switch(production.version if production else None, now.version if now else None, notes=tuple(notes))


def _require_servable(folder: Path, version: str, settings: Settings) -> None:
    try:
        read_adapter(folder).require_servable(settings.base_model, settings.vllm_max_lora_rank)
    except AdapterError as error:
        raise RegistryError(f"version {version} cannot be served again: {error.reason}") from error


def _publish(version: str, settings: Settings) -> tuple[str, ...]:
    """Publish a version where that is configured; return what went wrong, which undoes no switch."""
    if not settings.hub_repository:
        return ()
    try:
        publish_to_hub(version, settings)
    except LlmtwinError as error:
        return (str(error),)
    return ()
