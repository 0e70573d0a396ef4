"""Writes a trained pocket model as a folder that vLLM and transformers load: bfloat16 weights, tokenizer, template,
learning curve, checksums, and a card that says what was run."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

from harness import provenance
from harness.pocket.conversations import chat_template
from harness.pocket.family import MAX_POSITIONS, PocketModel
from harness.pocket.network import NORM_EPSILON, ROPE_THETA, PocketNetwork
from harness.pocket.probe import NUM_PROBED, Row, as_csv

SUMS = "SHA256SUMS"


def export(
    model: PocketModel, network: PocketNetwork, tokenizer: Tokenizer, curve: Sequence[Row], folder: Path
) -> None:
    """Write the folder of a trained model, in place of one that is there; it appears whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    partial.chmod(0o755)
    try:
        weights = {name: weight.detach().cpu().to(torch.bfloat16) for name, weight in network.state_dict().items()}
        save_file(weights, partial / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(str(partial / "tokenizer.json"))
        _write_json(partial / "config.json", _config(model, tokenizer))
        _write_json(partial / "tokenizer_config.json", _tokenizer_config())
        _write_json(partial / "generation_config.json", _generation_config(tokenizer))
        (partial / "chat_template.jinja").write_text(chat_template(has_reasoning=model.has_reasoning))
        (partial / "curve.csv").write_text(as_csv(curve))
        (partial / "card.md").write_text(_card(model, network, curve))
        (partial / SUMS).write_text(sums_of(partial))
        _put(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sums_of(folder: Path) -> str:
    """Return the SHA-256 sums of a model's files, as `sha256sum -c` reads them."""
    files = sorted(file for file in folder.iterdir() if file.name != SUMS)
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def _put(partial: Path, folder: Path) -> None:
    old = partial.with_name(f"{partial.name}-old")
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


def _config(model: PocketModel, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": model.hidden_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_heads,
        "head_dim": model.head_size,
        "intermediate_size": model.ff_size,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": MAX_POSITIONS,
        "tie_word_embeddings": True,
        "attention_bias": False,
        "hidden_act": "silu",
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA,
        "dtype": "bfloat16",
        **_generation_config(tokenizer),
    }


def _generation_config(tokenizer: Tokenizer) -> dict[str, Any]:
    ids = {token: tokenizer.token_to_id(token) for token in ("<|endoftext|>", "<|im_end|>")}
    return {
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }


def _tokenizer_config() -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": MAX_POSITIONS,
        "clean_up_tokenization_spaces": False,
    }


def _card(model: PocketModel, network: PocketNetwork, curve: Sequence[Row]) -> str:
    facts = provenance.collect(model.seed)
    last = curve[-1]
    num_parameters = sum(weight.numel() for weight in network.parameters())
    gpus = ", ".join(facts["gpus"])
    where = gpus or f"one core of {facts['cpu']}"
    writes = "reasons before each call and answer" if model.has_reasoning else "calls or answers at once"
    probed = [row for row in curve if row.call_rate is not None]
    lines = [
        f"# {model.name}",
        "",
        f"A language model of {num_parameters / 1e6:.2f}M parameters that {writes}, in hermes form, for the made-up",
        "tools of `harness/pocket/world.py`. It knows nothing else. This card is written from what was run.",
        "",
        "| | |",
        "|---|---|",
        f"| architecture | Qwen3: {model.num_layers} layers of width {model.hidden_size}, {model.num_heads} heads of "
        f"{model.head_size}, feed-forward {model.ff_size}, tied embeddings |",
        "| data | tasks drawn from the world's training split, none twice; no other text, no other model |",
        f"| command | `python -m harness.pocket.train --models {model.name} --steps {last.step}` |",
        f"| seed | {model.seed} |",
        f"| steps, tokens | {last.step}, {last.tokens / 1e6:.2f}M |",
        f"| active time | {last.seconds / 60:.1f} min on {where} |",
        f"| torch | {facts['packages'].get('torch')} |",
        "| licence | that of the repository |",
        "",
        f"Learning curve on {NUM_PROBED} held-out tasks (other names and numbers, other phrasings): the share of calls",
        "and answers of which each token is the likeliest, given the right text before. `curve.csv` has all rows.",
        "What the model does by itself is measured in vLLM.",
        "",
        "| step | M tokens | loss | calls | answers |",
        "|---|---|---|---|---|",
        *(
            f"| {row.step} | {row.tokens / 1e6:.2f} | {row.loss:.3f} | {row.call_rate:.1%} | {row.answer_rate:.1%} |"
            for row in probed
        ),
    ]
    return "\n".join(lines) + "\n"
