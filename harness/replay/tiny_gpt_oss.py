"""Makes `replay_tiny_gpt_oss`: gpt-oss's architecture, small and with random weights, and its own tokenizer.

The tokenizer is made offline: the package openai_harmony carries the vocabulary (o200k, then the control tokens), and
the ids are those of harmony's own encoder. vLLM renders chats for this architecture with harmony, not with the folder's
chat template, which is there for all who use the folder without vLLM.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from harness.replay.tiny_model import made_once

TEMPLATE = Path(__file__).with_name("harmony_template.jinja")
VOCAB_SIZE = 201088
NUM_RANKS = 199998
"""Ids below are merged byte sequences, ids from here on control tokens."""

STOP_TOKENS = ("<|return|>", "<|endoftext|>", "<|call|>")
SLIDING_WINDOW = 128
# How o200k splits a text before it merges bytes.
_LOWER, _UPPER = r"\p{Ll}\p{Lm}\p{Lo}\p{M}", r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}"
_SUFFIX = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join(
    (
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+{_SUFFIX}",
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*{_SUFFIX}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyGptOss:
    """The size of a model. Half of its layers attend to the last 128 tokens, the others to all; so `num_layers` is
    even. Each token is sent to 2 of `num_experts` feed-forwards of `ff_size`."""

    hidden_size: int
    num_layers: int
    num_heads: int
    head_size: int
    ff_size: int
    num_experts: int
    max_position_embeddings: int = 131072


def make_tiny_gpt_oss(architecture: TinyGptOss, cache: Path) -> Path:
    """Return the folder of a model of this architecture under `cache`, making it if it is not there."""
    sources = [file.read_text(encoding="utf-8") for file in (Path(__file__), TEMPLATE)]
    recipe = json.dumps(asdict(architecture), sort_keys=True) + "".join(sources)
    return made_once(cache, "replay-tiny-gpt-oss", recipe, lambda folder: _fill(folder, architecture))


def _fill(folder: Path, architecture: TinyGptOss) -> None:
    tokenizer = harmony_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    stop_ids = [tokenizer.token_to_id(token) for token in STOP_TOKENS]
    ids = {"bos_token_id": tokenizer.token_to_id("<|startoftext|>"), "pad_token_id": stop_ids[1]}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|startoftext|>",
        "eos_token": "<|return|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": architecture.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
    }
    texts = {
        "config.json": config_of(architecture) | ids | {"eos_token_id": stop_ids[0]},
        "generation_config.json": ids | {"eos_token_id": stop_ids},
        "tokenizer_config.json": tokenizer_config,
    }
    for name, content in texts.items():
        (folder / name).write_text(json.dumps(content, indent=2))
    shutil.copy(TEMPLATE, folder / "chat_template.jinja")


def config_of(architecture: TinyGptOss) -> dict[str, Any]:
    """Return the model's configuration without the ids of its control tokens."""
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "hidden_size": architecture.hidden_size,
        "num_hidden_layers": architecture.num_layers,
        "num_attention_heads": architecture.num_heads,
        "num_key_value_heads": architecture.num_heads,
        "head_dim": architecture.head_size,
        "intermediate_size": architecture.ff_size,
        "num_local_experts": architecture.num_experts,
        "num_experts_per_tok": 2,
        "sliding_window": SLIDING_WINDOW,
        "layer_types": ["sliding_attention", "full_attention"] * (architecture.num_layers // 2),
        "vocab_size": VOCAB_SIZE,
        "max_position_embeddings": architecture.max_position_embeddings,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
        # As published. Without it transformers takes the tokenizer for a wrong one of another family, and warns.
        "transformers_version": "4.55.0",
    }


def harmony_tokenizer() -> Tokenizer:
    """Return gpt-oss's tokenizer, made from the vocabulary inside openai_harmony."""
    from openai_harmony import HarmonyEncodingName, load_harmony_encoding
    from transformers.convert_slow_tokenizer import TikTokenConverter

    decode = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)._inner.decode_bytes
    ranks = {decode([rank]): rank for rank in range(NUM_RANKS)}
    control_tokens = [decode([token_id]).decode() for token_id in range(NUM_RANKS, VOCAB_SIZE)]
    converter = TikTokenConverter(vocab_file="", pattern=PATTERN, extra_special_tokens=control_tokens)
    converter.load_tiktoken_bpe = lambda tiktoken_url: ranks
    return converter.converted()
