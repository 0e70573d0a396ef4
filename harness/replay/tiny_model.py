"""Makes `replay_tiny`: a small Qwen3 architecture with random weights and a tokenizer trained on BFCL's own prompts.

No weights are stored: vLLM makes random ones (`load_format=dummy`). The folder is made once, in seconds, and reused.
"""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

# The special tokens and the plain added ones of Qwen3's tokenizer, which the hermes and qwen3 parsers look for.
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
ADDED_TOKENS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>")
TEMPLATE = Path(__file__).with_name("hermes_template.jinja")
TRAINING_FILES = ("simple_python", "multiple", "live_simple", "live_multiple")


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyArchitecture:
    """The size of a model. `num_layers` x (attention with `num_heads` of `head_size`, feed-forward `ff_size`)."""

    hidden_size: int
    num_layers: int
    num_heads: int
    head_size: int
    ff_size: int
    vocab_size: int = 8192
    max_position_embeddings: int = 32768


def make_tiny_model(architecture: TinyArchitecture, cache: Path) -> Path:
    """Return the folder of a model of this architecture under `cache`, making it if it is not there."""
    sources = [file.read_text(encoding="utf-8") for file in (Path(__file__), TEMPLATE)]
    recipe = json.dumps(asdict(architecture), sort_keys=True) + "".join(sources)
    return made_once(cache, "replay-tiny", recipe, lambda folder: _fill(folder, architecture))


def made_once(cache: Path, name: str, recipe: str, fill: Callable[[Path], None]) -> Path:
    """Return the folder under `cache` that `fill` has filled after this recipe; it appears whole or not at all."""
    folder = cache / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=cache))
    try:
        fill(partial)
        with contextlib.suppress(OSError):  # another process was faster, and made the same
            partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _fill(folder: Path, architecture: TinyArchitecture) -> None:
    tokenizer = _train_tokenizer(_bfcl_texts(), architecture.vocab_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        "hidden_size": architecture.hidden_size,
        "num_hidden_layers": architecture.num_layers,
        "num_attention_heads": architecture.num_heads,
        "num_key_value_heads": architecture.num_heads,
        "head_dim": architecture.head_size,
        "intermediate_size": architecture.ff_size,
        "vocab_size": architecture.vocab_size,
        "max_position_embeddings": architecture.max_position_embeddings,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "dtype": "bfloat16",
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
    }
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": architecture.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config, indent=2))
    shutil.copy(TEMPLATE, folder / "chat_template.jinja")


def _bfcl_texts() -> Iterable[str]:
    data = files("bfcl_eval") / "data"
    for name in TRAINING_FILES:
        yield from (data / f"BFCL_v4_{name}.json").read_text(encoding="utf-8").splitlines()
    for document in sorted((data / "multi_turn_func_doc").iterdir(), key=lambda entry: entry.name):
        yield document.read_text(encoding="utf-8")


def _train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(ADDED_TOKENS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED_TOKENS])
    return tokenizer
