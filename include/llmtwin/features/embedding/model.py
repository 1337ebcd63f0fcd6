"""What can be known of an embedding model without loading it: window, dimension, identity, tokenizer."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmtwin.errors import EmbeddingError
from llmtwin.features.embedding.source import find_model, weight_files

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

# Weights are told apart by their size, their beginning and these many evenly spaced samples: reading all of a 5 GB
# model would take seconds in each short task, and no training leaves these untouched.
_SAMPLES = 64
_SAMPLE_BYTES = 4096
# transformers writes 10^30 where a tokenizer knows no limit.
_NO_LIMIT = 10**9
_CONFIGURATION = ("modules.json", "config.json", "tokenizer.json", "sentence_bert_config.json")


@dataclass(frozen=True)
class Model:
    """A sentence-transformers model on disk.

    Attributes:
        name: As the settings name it; of a folder, its last part.
        path: The folder.
    """

    name: str
    path: Path

    @property
    def is_instructor(self) -> bool:
        """Whether the model expects an instruction before each text, which is left out of pooling (Su et al., 2023)."""
        return "instructor" in self.name.lower()

    @cached_property
    def modules(self) -> list[str]:
        """The classes of the model's modules in order, e.g. ``Transformer``, ``Pooling``, ``Normalize``."""
        return [module["type"].rpartition(".")[2] for module in self._json("modules.json")]

    @cached_property
    def max_tokens(self) -> int:
        """The window in tokens, special tokens and prompt included."""
        if limit := self._transformer.get("max_seq_length"):
            return int(limit)
        tokenizer = self._json("tokenizer_config.json").get("model_max_length")
        positions = self._json("config.json").get("max_position_embeddings")
        limits = [int(limit) for limit in (tokenizer, positions) if limit and limit < _NO_LIMIT]
        if not limits:
            raise EmbeddingError(f"{self.path} does not say its window: set model_max_length in tokenizer_config.json")
        return min(limits)

    @cached_property
    def dimension(self) -> int:
        """The length of its vectors."""
        for module in reversed(self._json("modules.json")):
            config = self.path / module["path"] / "config.json"
            if module["path"] and config.is_file():
                values = json.loads(config.read_text())
                if size := values.get("out_features") or values.get("embedding_dimension"):
                    return int(size)
                if size := values.get("word_embedding_dimension"):
                    modes = sum(bool(on) for key, on in values.items() if key.startswith("pooling_mode_"))
                    return int(size) * max(modes, 1)
        raise EmbeddingError(f"{self.path} does not say the length of its vectors: it has no pooling or dense module")

    @cached_property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that change when the weights, the tokenizer or the modules do."""
        digest = hashlib.sha256()
        for name in _CONFIGURATION:
            if (file := self.path / name).is_file():
                digest.update(name.encode() + file.read_bytes())
        weights = weight_files(self.path)
        if not weights:
            raise EmbeddingError(f"{self.path} holds no weights (*.safetensors or pytorch_model.bin)")
        for file in weights:
            size = file.stat().st_size
            digest.update(f"{file.relative_to(self.path)}:{size}".encode())
            with file.open("rb") as opened:
                for sample in range(_SAMPLES):
                    opened.seek(size * sample // _SAMPLES)
                    digest.update(opened.read(_SAMPLE_BYTES))
        return digest.hexdigest()

    @property
    def path_safe_name(self) -> str:
        """The name as a single path component."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.name.rpartition("/")[2])

    def digest(self, *more: str) -> str:
        """Return 64 hexadecimal digits of the fingerprint and of what else matters to the caller."""
        return hashlib.sha256("\0".join((self.fingerprint, *more)).encode()).hexdigest()

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer, which neither truncates nor pads."""
        from tokenizers import Tokenizer

        file = self.path / "tokenizer.json"
        if file.is_file():
            tokenizer = Tokenizer.from_file(str(file))
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(str(self.path)).backend_tokenizer
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def encode(self, texts: Sequence[str], prompt: str = "") -> list[Encoding]:
        """Tokenize texts as the model sees them, special tokens and prompt included, not cut to the window."""
        lower = bool(self._transformer.get("do_lower_case"))
        inputs = [prompt + (text.lower() if lower else text) for text in texts]
        return self.tokenizer.encode_batch_fast(inputs)

    def prompt_length(self, prompt: str) -> int:
        """Return how many tokens an encoded text begins with for the prompt, a leading special token included."""
        if not prompt:
            return 0
        encoding = self.tokenizer.encode(prompt)
        return len(encoding.ids) - encoding.special_tokens_mask[-1]

    @cached_property
    def _transformer(self) -> dict[str, Any]:
        file = self.path / "sentence_bert_config.json"
        return json.loads(file.read_text()) if file.is_file() else {}

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise EmbeddingError(f"{self.path / name} cannot be read ({error}): download the model again") from error


@cache
def open_model(name: str, home: Path) -> Model:
    """Find a model by the name that the settings give it; once per process.

    Raises:
        EmbeddingError: No such model.
    """
    path = find_model(name, home)
    return Model(name=path.name if (home / Path(name).expanduser()).is_dir() else name, path=path)
