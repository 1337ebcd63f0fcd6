"""What requests look like: the fields that the gateway reads. All others go to vLLM as they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from llmtwin.retrieval import Options

ModelName = Annotated[str, Field(max_length=200, description="`twin`, `twin@<version>` or `base`", examples=["twin"])]


class _Request(BaseModel):
    model_config = ConfigDict(extra="allow")


class Message(_Request):
    """One message of a chat."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, Any]] | None = None


class ChatRequest(_Request):
    """A chat to go on with."""

    model: ModelName
    messages: list[Message] = Field(min_length=1)
    stream: bool | None = False
    rag: bool | Options | None = Field(
        default=None,
        description="What is looked up for the last question, or whether anything is. Default: for `twin` it is, for "
        "`base` it is not.",
    )


class CompletionRequest(_Request):
    """A text to go on with; nothing is looked up for it."""

    model: ModelName
    prompt: str | list[str] | list[int] | list[list[int]]
    stream: bool | None = False
    rag: Literal[False] | None = Field(default=None, description="Only chats are answered with retrieval.")


class EmbeddingRequest(_Request):
    """Texts to embed with the model that the feature store is built with."""

    model: str
    input: (
        Annotated[str, StringConstraints(min_length=1)]
        | Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(default=None, ge=1)


class Error(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(BaseModel):
    """The answer to a request that failed."""

    error: Error


class Citation(BaseModel):
    """A passage that the prompt held."""

    index: int = Field(ge=1, description="the number by which an answer names it, like [1]")
    title: str | None
    link: str
    author: str | None
    kind: str
    score: float
    content: str = Field(description="the passage as the prompt held it")
    path: str | None = Field(default=None, description="of code")
    lines: tuple[int, int] | None = Field(default=None, description="of code: the first and the last one")


class RagReport(BaseModel):
    """How the lookup went."""

    notes: list[str] = Field(description="what could not be done")


class CitedAnswer(BaseModel):
    """OpenAI's chat completion, with `citations` and `rag` where something was looked up.

    In a stream both are in the last chunk before `[DONE]`.
    """

    model_config = ConfigDict(extra="allow")

    id: str
    object: str
    model: str
    citations: list[Citation] | None = None
    rag: RagReport | None = None
