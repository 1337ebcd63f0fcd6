"""All settings, read in this one place.

Every field is an environment variable: its name in capitals behind ``LLMTWIN_``; the server URLs also answer to their
plain names (``MONGODB_URL``, ``RABBITMQ_URL``, ``QDRANT_URL``, ``VLLM_URL``). A ``.env`` file in the project's folder
is read first. ``.env.example`` lists them all, and a test keeps it so.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from llmtwin.errors import SettingsError

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
SMOLLM2 = "HuggingFaceTB/SmolLM2-135M-Instruct"


def project_home() -> Path:
    """Return the project's folder: ``LLMTWIN_HOME``, else the checkout this file lies in, else the working folder."""
    if home := os.environ.get("LLMTWIN_HOME"):
        return Path(home).expanduser().resolve()
    checkout = Path(__file__).resolve().parents[2]
    return checkout if (checkout / "dags").is_dir() else Path.cwd()


class Settings(BaseSettings):
    """The settings of one llmtwin installation."""

    model_config = SettingsConfigDict(env_prefix="LLMTWIN_", extra="ignore", frozen=True, populate_by_name=True)

    # Folders
    home: Path = Field(default_factory=project_home, description="the project's folder, with dags/ and plugins/")
    data_dir: Path = Field(default=Path(".local"), description="where local services and batches live, under home")
    models_dir: Path | None = Field(default=None, description="cache of converted models; default: data_dir/models")

    # Servers. A URL means: use this server. None means: the local stack runs its own on the port below.
    mongodb_url: str | None = Field(default=None, validation_alias=AliasChoices("LLMTWIN_MONGODB_URL", "MONGODB_URL"))
    rabbitmq_url: str | None = Field(
        default=None, validation_alias=AliasChoices("LLMTWIN_RABBITMQ_URL", "RABBITMQ_URL")
    )
    qdrant_url: str | None = Field(default=None, validation_alias=AliasChoices("LLMTWIN_QDRANT_URL", "QDRANT_URL"))
    qdrant_api_key: str | None = Field(
        default=None, validation_alias=AliasChoices("LLMTWIN_QDRANT_API_KEY", "QDRANT_API_KEY")
    )
    mongodb_port: int = Field(default=27017, ge=1, le=65535)
    rabbitmq_port: int = Field(default=5672, ge=1, le=65535)
    rabbitmq_dist_port: int = Field(
        default=24672, ge=1, le=65535, description="Erlang distribution; not its default, which a system service holds"
    )
    epmd_port: int = Field(default=24369, ge=1, le=65535, description="Erlang port mapper; not its default either")
    qdrant_port: int = Field(default=6333, ge=1, le=65535)
    airflow_port: int = Field(default=8081, ge=1, le=65535, description="8080 is left to the gateway")
    mongodb_database: str = "llmtwin"

    # Crawling
    crawl_schedule: str = Field(default="@daily", description="when registered sources are crawled again")
    sources_file: Path = Field(default=Path("sources.yaml"), description="authors and their links, under home")
    crawl_allow_private: bool = Field(default=False, description="links may reach private and loopback addresses")
    crawl_allow_local: bool = Field(default=False, description="links may be files and folders of this machine")
    crawl_timeout_seconds: float = Field(default=30.0, gt=0)
    crawl_git_timeout_seconds: float = Field(default=600.0, gt=0, description="for one clone")
    crawl_own_sites: str = Field(
        default="", description="hosts of the author's own, with their subdomains, by comma: robots.txt is not asked"
    )
    crawl_pause_seconds: float = Field(default=1.0, ge=0, description="between two requests of a crawl to one host")
    crawl_max_pages: int = Field(default=1_000, ge=1, description="of one feed, sitemap or archive; the newest first")
    crawl_cache_bytes: int = Field(
        default=1_000_000_000, ge=0, description="pages kept to ask only for changes; 0: none"
    )
    crawl_max_page_bytes: int = Field(default=20_000_000, gt=0)
    crawl_max_file_bytes: int = Field(default=1_000_000, gt=0, description="larger files of a repository are skipped")
    crawl_max_repository_bytes: int = Field(default=500_000_000, gt=0, description="read of one repository in a crawl")

    # GitHub
    github_token: str | None = Field(default=None, repr=False, description="to list a user's repositories more often")
    github_api_url: str = Field(default="https://api.github.com", description="another one for GitHub Enterprise")
    github_forks: bool = Field(default=False, description="whether a user's forks are crawled too")
    github_archived: bool = Field(default=False, description="whether a user's archived repositories are crawled too")

    # Browser, for what only a browser can read
    crawl_browser: Literal["auto", "never"] = Field(
        default="auto", description="auto: where a page needs one and there is one"
    )
    browser_executable: Path | None = Field(default=None, description="default: the system's Chromium or Chrome")
    browser_headless: bool = Field(default=True, description="show no window")
    browser_sandbox: bool = Field(default=True, description="Chromium's own; as root there is none")
    browser_max_seconds: float = Field(default=900.0, gt=0, description="for one crawl")
    linkedin_email: SecretStr | None = Field(default=None, description="to log in at LinkedIn")
    linkedin_password: SecretStr | None = None
    linkedin_max_scrolls: int = Field(default=500, ge=1, description="screens of a profile's activity")

    # Imports of exports
    imports_dir: Path | None = Field(
        default=None,
        description="exports in it may always be imported, without crawl_allow_local; default: data_dir/imports",
    )
    import_max_bytes: int = Field(default=2_000_000_000, gt=0, description="read of one export, unpacked")
    import_max_member_bytes: int = Field(
        default=250_000_000, gt=0, description="read of one file of an export, unpacked"
    )
    import_max_ratio: int = Field(default=200, ge=1, description="a file that unpacks to more times its size is a bomb")

    # Micro-batches
    sync_schedule: str = Field(default="* * * * *", description="cron, or @continuous for near-real-time")
    sync_window_seconds: float = Field(default=50.0, gt=0, description="how long a run waits for events")
    sync_poll_seconds: float = Field(default=1.0, gt=0)
    drain_max_messages: int = Field(default=2_000, ge=1, le=65_535, description="AMQP prefetch is 16 bits wide")
    drain_max_bytes: int = Field(default=64_000_000, gt=0)
    drain_max_seconds: float = Field(default=10.0, gt=0)
    keep_batches: int = Field(default=200, ge=1, description="finished batches kept for replay and inspection")

    # Cleaning and chunking
    clean_drop_emoji: bool = False
    clean_drop_urls: bool = False
    chunk_overlap_post: int = Field(default=0, ge=0, description="tokens shared by neighbouring chunks")
    chunk_overlap_article: int = Field(default=32, ge=0)
    chunk_overlap_repository: int = Field(default=0, ge=0)

    # Embedding
    text_model: str = Field(default=MINILM, description="posts and articles: hub id or folder")
    code_model: str = Field(default=MINILM, description="repositories: hub id or folder, e.g. hkunlp/instructor-xl")
    embedding_backend: Literal["auto", "openvino", "torch"] = Field(
        default="auto", description="auto: torch where there is a GPU, OpenVINO elsewhere"
    )
    embedding_batch_size: int = Field(default=8, ge=1)

    # vLLM and the registry of adapters
    vllm_url: str | None = Field(default=None, validation_alias=AliasChoices("LLMTWIN_VLLM_URL", "VLLM_URL"))
    vllm_host: str = Field(default="127.0.0.1", description="the address it listens on; it asks nobody for a key")
    vllm_port: int = Field(default=8000, ge=1, le=65535)
    vllm_device: Literal["auto", "cpu", "gpu"] = Field(default="auto", description="auto: gpu where there is one")
    vllm_gpus: int = Field(default=1, ge=1, description="GPUs that share one model (tensor parallel)")
    vllm_gpu_memory: float = Field(default=0.9, gt=0, le=1, description="share of the GPU's memory that vLLM takes")
    vllm_cpu_cache_gb: int = Field(default=1, ge=1, description="memory for the KV cache, on the CPU")
    vllm_max_model_len: int = Field(default=2048, ge=256, description="the window in tokens, question and answer")
    vllm_max_lora_rank: int = Field(default=16, ge=1, le=256, description="adapters of a higher rank are refused")
    vllm_max_adapters: int = Field(default=2, ge=1, description="adapters in use at the same time")
    base_model: str = Field(default=SMOLLM2, description="hub id or folder; the default is built from PyPI")
    base_model_quantization: Literal["none", "bitsandbytes", "awq", "fp8"] = Field(
        default="none", description="all but none want a GPU; awq wants a model that is quantized so"
    )
    registry_dir: Path | None = Field(default=None, description="adapters and their index; default: data_dir/registry")
    registry_url: str | None = Field(
        default=None, description="where `llmtwin registry push` and `pull` copy it to and from: s3://bucket/path"
    )
    hub_repository: str | None = Field(
        default=None, description="of the Hugging Face Hub, where promoted versions are published: name/my-twin"
    )
    hub_token: SecretStr | None = Field(default=None, description="of the Hub, one that may write")
    hub_private: bool = Field(default=True, description="whether a repository made for it is private")

    # Training, and what is recorded of it
    runs_dir: Path | None = Field(default=None, description="training runs; default: data_dir/runs")
    train_queue: str | None = Field(
        default=None, description="Airflow queue of the workers that train, say gpu; default: the executor's own"
    )
    train_on_new_dataset: bool = Field(default=False, description="train_twin runs by itself for every new dataset")
    comet_api_key: SecretStr | None = Field(default=None, description="experiments go to Comet; default: offline")
    comet_workspace: str | None = Field(default=None, description="default: the key's own")
    comet_project: str = "llmtwin"
    comet_dir: Path | None = Field(default=None, description="archives of offline experiments; default: data_dir/comet")

    # Promotion
    gate_file: Path | None = Field(
        default=None, description="rules that a candidate must pass, under home; default: those of llmtwin.promotion"
    )
    approval_days: float = Field(default=7.0, gt=0, description="how long a human may take to decide")

    # Datasets for training
    datasets_dir: Path | None = Field(default=None, description="datasets by author; default: data_dir/datasets")
    dataset_extract_tokens: int = Field(
        default=256, ge=32, le=4096, description="an answer to learn has so many tokens of the base model at most"
    )
    dataset_rag_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="of extracts, at most, that are there once more with passages",
    )
    dataset_pii: Literal["drop", "keep"] = Field(
        default="drop", description="extracts with e-mail addresses, telephone or card numbers, or secrets"
    )
    dataset_languages: str = Field(default="", description="ISO 639-1 codes by comma; empty: all")
    dataset_questions_file: Path | None = Field(
        default=None, description="YAML of questions that the teacher answers; default: the ones that come with it"
    )
    dataset_schedule: str = Field(
        default="@daily", description="when build_datasets looks for changes besides after each micro-batch"
    )
    dataset_min_changes: int = Field(
        default=5, ge=1, description="documents new or changed before build_datasets builds again by itself"
    )
    dataset_min_hours: float = Field(default=24.0, ge=0, description="between two such builds of one author")

    # Teacher: a language model that writes instructions, answers questions and imitates the author
    teacher_url: str | None = Field(
        default=None, description="OpenAI-compatible, with /v1 at its end; None: no teacher, instructions by rule"
    )
    teacher_model: str | None = Field(default=None, description="as the endpoint names it")
    teacher_api_key: SecretStr | None = None
    teacher_price_input: float = Field(default=0.0, ge=0, description="of a million tokens read, in your currency")
    teacher_price_output: float = Field(default=0.0, ge=0, description="of a million tokens written")
    teacher_concurrency: int = Field(default=4, ge=1, le=256, description="requests at the same time")
    teacher_attempts: int = Field(default=3, ge=1, le=10, description="before an item is dropped")
    teacher_timeout_seconds: float = Field(default=120.0, gt=0, description="for one answer")

    # Judge: a language model that compares answers when a version is evaluated
    judge_url: str | None = Field(default=None, description="OpenAI-compatible, with /v1 at its end; None: no judge")
    judge_model: str | None = Field(default=None, description="as the endpoint names it")
    judge_api_key: SecretStr | None = None
    judge_timeout_seconds: float = Field(default=120.0, gt=0, description="for one verdict")

    # Retrieval: what a question is answered with, unless a request says otherwise
    retrieval_mode: Literal["hybrid", "dense", "sparse"] = Field(
        default="hybrid", description="dense: meaning; sparse: words"
    )
    retrieval_top_k: int = Field(default=5, ge=1, le=50, description="passages")
    retrieval_expansion: int = Field(default=0, ge=0, le=5, description="rephrasings by the LLM, searched besides")
    retrieval_self_query: bool = Field(
        default=False, description="let the LLM take author, kind, platform and time from the question"
    )
    retrieval_rerank: bool = Field(default=True, description="read what was found once more, and sort it")
    retrieval_deduplicate: bool = Field(default=True, description="drop passages that say what a better one says")
    retrieval_parents: bool = Field(default=False, description="give each passage with its neighbours in the document")
    retrieval_candidates: int = Field(default=30, ge=1, le=200, description="chunks of each kind that are looked at")
    retrieval_timeout_seconds: float = Field(default=5.0, gt=0, description="for Qdrant to answer a question")
    retrieval_link_passages: int = Field(default=8, ge=1, le=50, description="passages of a page given by its link")
    retrieval_links_private: bool = Field(
        default=False, description="links in a question may reach private and loopback addresses"
    )
    rrf_k: int = Field(default=5, ge=1, description="of rank fusion: the larger, the less the first ranks count")
    reranker_model: str | None = Field(
        default=None, description="a cross-encoder, by hub id or folder; default: the text model's own tokens"
    )
    reranker_queue: int = Field(default=4, ge=0, description="questions that may wait for it; others do without")

    # Gateway
    gateway_host: str = Field(default="127.0.0.1", description="the address it listens on")
    gateway_port: int = Field(default=8080, ge=1, le=65535)
    gateway_names: str = Field(
        default="", description="by comma: names besides localhost by which it may be called without an API key"
    )
    gateway_url: str | None = Field(default=None, description="where `llmtwin ask` finds it; default: on this machine")
    gateway_api_key: SecretStr | None = Field(default=None, description="which `llmtwin ask` sends")
    gateway_keys_file: Path | None = Field(
        default=None, description="hashes of API keys, see `llmtwin keys`; default: gateway/keys.json in data_dir"
    )
    gateway_require_key: bool = Field(default=False, description="even while there is no API key at all")
    gateway_rate_limit: str = Field(
        default="600/minute", description="requests of one key, or of one address without; by semicolon; empty: none"
    )
    gateway_trusted_proxies: str = Field(
        default="", description="addresses by comma whose X-Forwarded-For names the client; empty: none"
    )
    gateway_max_body_bytes: int = Field(default=2_000_000, gt=0)
    gateway_timeout_seconds: float = Field(default=300.0, gt=0, description="between two signs of life from vLLM")
    gateway_tokenizer: str | None = Field(
        default=None, description="folder or hub id; default: what vLLM says it serves"
    )
    gateway_log_prompts: bool = Field(default=False, description="write prompts and answers to the log")

    # Traces: what was asked and answered
    trace_sample: float = Field(default=1.0, ge=0, le=1, description="the share of requests traced; failed ones always")
    trace_content: bool = Field(default=False, description="keep questions, prompts and answers, not figures only")
    traces_dir: Path | None = Field(default=None, description="default: gateway/traces in data_dir")
    traces_max_bytes: int = Field(default=1_000_000_000, gt=0, description="the oldest are removed beyond it")
    opik_url: str | None = Field(default=None, description="of Opik's API, for traces; default with a key: Comet's")
    opik_api_key: SecretStr | None = Field(default=None, description="traces go to Comet's Opik")
    opik_workspace: str | None = None
    opik_project: str = "llmtwin"

    # What the twin knows and whose voice it has
    twin_author: str | None = Field(default=None, description="full name; default: whose texts were found")
    rag_answer_tokens: int = Field(
        default=512, ge=1, description="of the window, kept free for an answer without max_tokens"
    )
    rag_timeout_seconds: float = Field(default=20.0, gt=0, description="for finding passages, the LLM's share included")
    rag_when_unavailable: Literal["answer", "refuse"] = Field(
        default="answer", description="while Qdrant is down: answer without passages and say so, or 503"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _empty_means_none(cls, value: object, info: ValidationInfo) -> object:
        """Take a line of ``.env`` that nobody has filled in for no value, where none is allowed."""
        optional = info.field_name is not None and cls.model_fields[info.field_name].default is None
        return None if optional and value == "" else value

    @property
    def data(self) -> Path:
        """The data folder as an absolute path."""
        return self.data_dir if self.data_dir.is_absolute() else self.home / self.data_dir

    @property
    def declared_sources(self) -> Path:
        """The file of authors and their links as an absolute path."""
        return self.home / self.sources_file

    @property
    def batches(self) -> Path:
        """Where micro-batches are staged."""
        return self.data / "batches"

    @property
    def imports(self) -> Path:
        """Where exports lie that anybody may import who can trigger a crawl."""
        folder = self.imports_dir or self.data / "imports"
        return folder if folder.is_absolute() else self.home / folder

    @property
    def models(self) -> Path:
        """Where converted models are cached."""
        return self.models_dir or self.data / "models"

    @property
    def registry(self) -> Path:
        """Where the registry of adapters lies."""
        folder = self.registry_dir or self.data / "registry"
        return folder if folder.is_absolute() else self.home / folder

    @property
    def runs(self) -> Path:
        """Where training runs lie, one folder each."""
        folder = self.runs_dir or self.data / "runs"
        return folder if folder.is_absolute() else self.home / folder

    @property
    def experiments(self) -> Path:
        """Where the archives of offline experiments lie."""
        folder = self.comet_dir or self.data / "comet"
        return folder if folder.is_absolute() else self.home / folder

    @property
    def datasets(self) -> Path:
        """Where datasets for training lie."""
        folder = self.datasets_dir or self.data / "datasets"
        return folder if folder.is_absolute() else self.home / folder

    @property
    def gateway(self) -> str:
        """The gateway's URL in force."""
        return self.gateway_url or f"http://127.0.0.1:{self.gateway_port}"

    @property
    def gateway_keys(self) -> Path:
        """Where the hashes of API keys lie."""
        file = self.gateway_keys_file or self.data / "gateway" / "keys.json"
        return file if file.is_absolute() else self.home / file

    @property
    def traces(self) -> Path:
        """Where traces and feedback are kept."""
        folder = self.traces_dir or self.data / "gateway" / "traces"
        return folder if folder.is_absolute() else self.home / folder

    @property
    def mongodb(self) -> str:
        """The MongoDB URL in force."""
        return self.mongodb_url or f"mongodb://127.0.0.1:{self.mongodb_port}/?replicaSet=rs0"

    @property
    def rabbitmq(self) -> str:
        """The AMQP URL in force."""
        return self.rabbitmq_url or f"amqp://guest:guest@127.0.0.1:{self.rabbitmq_port}/%2F"

    @property
    def qdrant(self) -> str:
        """The Qdrant URL in force."""
        return self.qdrant_url or f"http://127.0.0.1:{self.qdrant_port}"

    @property
    def vllm(self) -> str:
        """vLLM's URL in force."""
        return self.vllm_url or f"http://127.0.0.1:{self.vllm_port}"


@lru_cache
def get_settings() -> Settings:
    """Return the settings of this process, read once.

    Raises:
        SettingsError: A variable holds a value of the wrong type; names the variable.
    """
    try:
        return Settings(_env_file=project_home() / ".env")
    except ValidationError as error:
        problems = "; ".join(f"LLMTWIN_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"cannot use the settings: {problems}") from error


def settings_environment(settings: Settings) -> dict[str, str]:
    """Return ``settings`` as the variables that make another process read the same ones, whatever its ``.env`` says."""
    values = settings.model_dump(mode="json")
    secrets = {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    return {f"LLMTWIN_{name.upper()}": _as_variable(value) for name, value in (values | secrets).items()}


def redacted(url: str) -> str:
    """Return a server's URL without user name and password, for messages and logs."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _as_variable(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
