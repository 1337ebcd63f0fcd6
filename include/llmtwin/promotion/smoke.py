"""One real question to one version, through the gateway, as any user would ask it."""

from __future__ import annotations

from typing import Any

from llmtwin.errors import GatewayError, PromotionError
from llmtwin.registry.loading import reason_of
from llmtwin.settings import Settings, redacted

QUESTION = "What do you write about, and what matters most to you in it?"
_TOKENS = 48
_TIMEOUT_SECONDS = 180.0


def smoke_test(served_name: str, settings: Settings) -> str:
    """Ask a version a question; return its answer.

    Passages are looked up for it as for every question; whether any are found is not the version's merit, that the
    answer carries citations is the gateway's promise.

    Args:
        served_name: ``twin@<version>``.
        settings: Where the gateway is, and a key if it wants one.

    Raises:
        GatewayError: The gateway is down, or refuses the question.
        PromotionError: The answer is not one that a user may get.
    """
    # Without the penalty, a model as small as the default one says the same sentence again and again.
    options = {"max_tokens": _TOKENS, "temperature": 0, "frequency_penalty": 0.5}
    message = {"role": "user", "content": QUESTION}
    answer = _call(settings, "POST", "/v1/chat/completions", {"model": served_name, "messages": [message], **options})
    try:
        text, model = str(answer["choices"][0]["message"]["content"] or ""), answer["model"]
    except (KeyError, IndexError, TypeError) as error:
        raise PromotionError(f"{served_name} is not promoted: the gateway's answer is no chat completion") from error
    if model != served_name:
        raise PromotionError(f"{served_name} is not promoted: {model} answered in its place")
    if not any(character.isalpha() for character in text):
        raise PromotionError(f"{served_name} is not promoted: its answer holds no word: {text[:80]!r}")
    if not isinstance(answer.get("citations"), list):
        raise PromotionError(f"{served_name} is not promoted: its answer came without citations")
    return text


def twin_is(settings: Settings) -> str:
    """Return what the gateway says stands behind ``twin`` now: ``twin@<version>`` or ``base``.

    Raises:
        GatewayError: The gateway is down, or cannot say.
    """
    return str(_call(settings, "GET", "/v1/models/twin").get("root"))


def _call(settings: Settings, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    import httpx

    key = settings.gateway_api_key
    headers = {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        with httpx.Client(base_url=settings.gateway, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            answer = client.request(method, path, json=body, headers=headers)
        if answer.is_error:
            raise GatewayError(f"the gateway refuses (HTTP {answer.status_code}): {reason_of(answer)}")
        content = answer.json()
    except httpx.HTTPError as error:
        raise GatewayError(
            f"the gateway does not answer at {redacted(settings.gateway)} ({error!r}): run `llmtwin up --with-llm`"
        ) from error
    except ValueError as error:
        raise GatewayError(f"what answers at {redacted(settings.gateway)} is no gateway: {error}") from error
    if not isinstance(content, dict):
        raise GatewayError(f"what answers at {redacted(settings.gateway)} is no gateway")
    return content
