"""Every error llmtwin raises on purpose.

::

    LlmtwinError
    ├── SettingsError            a setting is missing or contradicts another
    ├── SourceError              one link could not be crawled; names the link
    │   ├── ForbiddenLinkError   the link points where settings do not allow it to
    │   ├── UnreachableError     network, DNS, TLS, time-out (worth a retry)
    │   ├── HttpStatusError      the server answered with an error status
    │   ├── RateLimitError       the server wants to be left alone for a longer while
    │   ├── RobotsError          the site's robots.txt asks programs to keep away
    │   ├── LoginWallError       the page wants a login first
    │   │   └── PreviewError     the page shows the beginning; the rest is for members or subscribers
    │   ├── BrowserError         a browser is needed, and there is none, or it does not start
    │   ├── ExportLimitError     an export is larger than settings allow
    │   └── UnreadableError      answered, but holds no text we can read (empty, PDF, too large, wrong encoding)
    │       └── ScriptedPageError    a page that only a browser could draw
    ├── WarehouseError           MongoDB refused, or is not what the pipeline needs
    │   └── NotAReplicaSetError  change streams need a replica set
    ├── CdcError                 the CDC service must stop
    │   ├── HistoryLostError     the resume token is older than the oplog
    │   └── CollectionLostError  a watched collection was dropped or renamed
    ├── EventError               RabbitMQ, or a message on it
    │   ├── BrokerError          the broker is down, refused, or did not confirm
    │   └── MalformedEventError  a message that can never be parsed (goes to the dead-letter queue)
    ├── StagingError             a batch or a model
    │   ├── ModelError           a model's yml and py do not fit together, or its graph has a gap
    │   ├── BatchError           a batch is missing, or its files are damaged
    │   └── TableTestError       a table-level test failed: nothing of this batch goes further
    ├── NoTextError              a document holds no text once it is cleaned (a ValueError too: its row is rejected)
    ├── EmbeddingError           a model cannot be found or loaded
    ├── VectorStoreError         Qdrant is down, or holds something else than expected
    ├── ApiKeyError              no such API key, or its file is damaged
    ├── RegistryError            no such version of the twin, not in this status, or the index is damaged
    │   └── AdapterError         a folder holds no LoRA adapter that can be served; names the folder
    ├── TrackingError            an experiment cannot be recorded, or there is none to be read
    ├── TrainingError            a run cannot begin, or ended without an adapter
    │   ├── RecipeError          a recipe does not exist, or asks for what there is not; names the knob
    │   ├── TrainingBusyError    another training runs on this machine
    │   └── TrainingMemoryError  memory ran out; names the knobs that need less
    ├── EvaluationError          a version cannot be evaluated, or was not; what was answered until then is kept
    │   └── JudgeError           the judge is down or refuses
    ├── PromotionError           a version was not promoted, or cannot be taken back; what is served stays as it was
    ├── VllmError                vLLM is down, or refuses an adapter
    ├── GatewayError             the gateway is down, or refuses a question
    ├── DatasetError             a dataset cannot be built, or there is none of this name or version
    │   └── TeacherError         the teacher is down, refuses, or talks nothing but nonsense
    ├── TraceError               traces or feedback cannot be kept or read
    └── LocalStackError          a local service cannot be installed, started or stopped
        └── PortInUseError       names the port and the setting that moves it

Messages say what happened, to what, and what to do.
"""

from pathlib import Path


class LlmtwinError(Exception):
    """Base of all errors raised on purpose."""


class SettingsError(LlmtwinError):
    """A setting is missing or contradicts another."""


class SourceError(LlmtwinError):
    """One link could not be crawled.

    Args:
        link: The link, as the user gave it.
        reason: What happened and what to do, without the link.
    """

    def __init__(self, link: str, reason: str) -> None:
        super().__init__(f"{link!r}: {reason}")
        self.link = link
        self.reason = reason


class ForbiddenLinkError(SourceError):
    """The link points at a private address, a local file or a scheme that settings do not allow."""


class UnreachableError(SourceError):
    """No answer: name resolution, connection, TLS or time-out. Worth a retry."""


class HttpStatusError(SourceError):
    """The server answered with an error status."""

    def __init__(self, link: str, status: int) -> None:
        super().__init__(link, f"the server answered HTTP {status}")
        self.status = status


class RateLimitError(SourceError):
    """The server wants to be left alone for longer than a crawl waits."""


class RobotsError(SourceError):
    """The site's robots.txt asks programs to keep away from the page."""


class LoginWallError(SourceError):
    """The page wants a login first."""


class PreviewError(LoginWallError):
    """The page shows the beginning of a text of which the rest is for members or subscribers."""


class BrowserError(SourceError):
    """The link needs a browser, and there is none, none is allowed, or it does not start."""


class UnreadableError(SourceError):
    """The link answered, but holds no text that can be read."""


class ScriptedPageError(UnreadableError):
    """The page holds no text before its scripts have run, so only a browser could read it."""


class ExportLimitError(SourceError):
    """More of an export would have to be read than settings allow; what was read before is kept."""


class WarehouseError(LlmtwinError):
    """MongoDB refused an operation, or is not what the pipeline needs."""


class NotAReplicaSetError(WarehouseError):
    """Change streams need a replica set; a standalone mongod has none."""


class CdcError(LlmtwinError):
    """The CDC service cannot go on."""


class HistoryLostError(CdcError):
    """The stored resume token is older than MongoDB's oplog."""


class CollectionLostError(CdcError):
    """A watched collection was dropped or renamed, which no per-document event describes."""


class EventError(LlmtwinError):
    """Something about RabbitMQ or a message on it."""


class BrokerError(EventError):
    """The broker is down, refused, or did not confirm."""


class MalformedEventError(EventError):
    """A message that can never be parsed, however often it is read."""


class StagingError(LlmtwinError):
    """Something about a batch or a model."""


class ModelError(StagingError):
    """A model's yml and py do not fit together, or its graph has a gap."""


class BatchError(StagingError):
    """A batch is missing, or its files are damaged."""


class TableTestError(StagingError):
    """A table-level test failed, so nothing of the batch may go further."""


class NoTextError(LlmtwinError, ValueError):
    """A document holds no text once it is cleaned."""


class EmbeddingError(LlmtwinError):
    """An embedding model cannot be found or loaded."""


class VectorStoreError(LlmtwinError):
    """Qdrant is down, or holds something else than expected."""


class ApiKeyError(LlmtwinError):
    """An API key of the gateway is unknown or taken, or the file of keys is damaged."""


class RegistryError(LlmtwinError):
    """The registry holds no such version, not in the status that is needed, or its index is damaged."""


class AdapterError(RegistryError):
    """A folder holds no LoRA adapter that can be served.

    Args:
        folder: The folder.
        reason: What is wrong and what to do, without the folder.
    """

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"{folder} cannot be served: {reason}")
        self.folder = folder
        self.reason = reason


class TrackingError(LlmtwinError):
    """An experiment cannot be recorded, or there is none to be read."""


class TrainingError(LlmtwinError):
    """A training run cannot begin, or ended without an adapter."""


class RecipeError(TrainingError):
    """A recipe does not exist, or asks for what there is not."""


class TrainingBusyError(TrainingError):
    """Another training runs on this machine."""


class TrainingMemoryError(TrainingError):
    """Memory ran out."""


class EvaluationError(LlmtwinError):
    """A version cannot be evaluated, or was not, or what was found is damaged."""


class JudgeError(EvaluationError):
    """The judge is down or refuses."""


class PromotionError(LlmtwinError):
    """A version was not promoted, or cannot be taken back; what is served stays as it was."""


class VllmError(LlmtwinError):
    """vLLM is down, or refuses an adapter.

    Args:
        message: What happened and what to do.
        answered: Whether vLLM is there, and said no.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class GatewayError(LlmtwinError):
    """The gateway is down, or refuses a question."""


class DatasetError(LlmtwinError):
    """A dataset cannot be built, or there is none of this name or version."""


class TeacherError(DatasetError):
    """The teacher is down, refuses, or gives no usable answer at all. What it answered before is kept."""


class TraceError(LlmtwinError):
    """Traces or feedback cannot be kept, sent or read."""


class LocalStackError(LlmtwinError):
    """A local service cannot be installed, started or stopped."""


class PortInUseError(LocalStackError):
    """A port that a local service needs is taken."""
