"""A small Qwen3 architecture with random float32 weights whose output reacts to all of its input.

vLLM's own dummy weights repeat the last token, which would hide a context that is wrong.
"""

import json
import shutil
from pathlib import Path


def make_reacting_model(tiny_folder: Path, folder: Path) -> Path:
    """Make the model in `folder` with the tokenizer and chat template of `tiny_folder`, and return the folder."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = json.loads((tiny_folder / "config.json").read_text())
    config |= {"hidden_size": 128, "num_hidden_layers": 2, "intermediate_size": 256, "num_attention_heads": 2}
    config |= {"num_key_value_heads": 2, "tie_word_embeddings": False, "dtype": "float32", "initializer_range": 0.2}
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(**config)).to(torch.float32)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny_folder / name, folder / name)
    return folder
