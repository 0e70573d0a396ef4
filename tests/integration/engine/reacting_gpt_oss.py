"""gpt-oss's architecture, small, with random float32 weights whose output reacts to all of its input."""

import json
import shutil
from pathlib import Path


def make_reacting_gpt_oss(tiny_folder: Path, folder: Path) -> Path:
    """Make the model in `folder` with the tokenizer of `tiny_folder`, and return the folder."""
    import torch
    from transformers import GptOssConfig, GptOssForCausalLM

    config = json.loads((tiny_folder / "config.json").read_text())
    config |= {"hidden_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 64}
    config |= {"intermediate_size": 64, "dtype": "float32", "initializer_range": 0.2}
    torch.manual_seed(0)
    model = GptOssForCausalLM(GptOssConfig(**config)).to(torch.float32)
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(tiny_folder / name, folder / name)
    return folder
