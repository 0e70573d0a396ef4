"""What a model's folder must hold, checked before a server is started with it: a server would fail a minute later, with
a message from deep inside, or answer nonsense."""

import hashlib
import json
from pathlib import Path
from typing import Any

from precall.errors import ConfigError

CHECKSUMS = "SHA256SUMS"
_HEADER_BYTES = 8
_TOOL = {
    "type": "function",
    "function": {
        "name": "lookup_word",
        "description": "Find a word",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    },
}
_CALL = {"name": "lookup_word", "arguments": {"word": "heron"}}
_OPENERS = {"hermes": "<tool_call>"}


def check_model_folder(folder: Path, tool_call_parser: str, *, has_weights: bool) -> None:
    """Raise ConfigError unless `folder` holds a model that can be served: a configuration, whole weights where they are
    loaded, checksums that fit where there are any, and a chat template that renders tools, calls and results in the
    form that `tool_call_parser` reads."""
    config = _json(folder, "config.json")
    if not isinstance(config.get("architectures"), list):
        raise ConfigError(f"{folder}/config.json names no architectures; it is not the configuration of a model.")
    if has_weights:
        _check_weights(folder)
    _check_sums(folder)
    _check_template(folder, tool_call_parser)


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        value = json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{folder} has no {name}; it is not a model's folder.") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}/{name} cannot be read: {error}. Fetch the folder again.") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{folder}/{name} holds a {type(value).__name__}; it must hold a JSON object.")
    return value


def _check_weights(folder: Path) -> None:
    index = "model.safetensors.index.json"
    if (folder / index).exists():
        names = sorted(set(_json(folder, index).get("weight_map", {}).values()))
    else:
        names = sorted(path.name for path in folder.glob("*.safetensors"))
    if not names and not any(folder.glob("*.bin")):
        raise ConfigError(f"{folder} has no weights: neither *.safetensors nor *.bin. Fetch the folder again.")
    for name in names:
        _check_safetensors(folder / name)


def _check_safetensors(path: Path) -> None:
    """The format: 8 bytes for the header's length, the header as JSON, the tensors at the offsets it names."""
    remedy = "Fetch the file again."
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            num_header = int.from_bytes(file.read(_HEADER_BYTES), "little")
            if num_header > size:
                raise ConfigError(
                    f"{path} is {size} bytes long and its header would have {num_header}: it is cut off, or no "
                    f"safetensors file but, say, a pointer to one. {remedy}"
                )
            header = json.loads(file.read(num_header))
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error}. {remedy}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f"{path} has no readable header: {error}. {remedy}") from error
    wanted = _HEADER_BYTES + num_header + max(ends, default=0)
    if size != wanted:
        raise ConfigError(f"{path} is {size} bytes long; its header asks for {wanted}. {remedy}")


def _check_sums(folder: Path) -> None:
    sums = folder / CHECKSUMS
    if not sums.exists():
        return
    for line in sums.read_text(encoding="utf-8").splitlines():
        wanted, _, name = line.partition("  ")
        path = folder / name
        if not path.is_file():
            raise ConfigError(f"{folder} has no {name}, which its {CHECKSUMS} names. Fetch the folder again.")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != wanted:
            raise ConfigError(
                f"{path} has the SHA-256 {found[:12]}...; {CHECKSUMS} has {wanted[:12]}... for it. Fetch the file "
                "again, or write the sums anew if you changed it on purpose."
            )


def _check_template(folder: Path, tool_call_parser: str) -> None:
    from transformers import AutoTokenizer

    messages = [
        {"role": "user", "content": "What is this?"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_0", "type": "function", "function": _CALL}]},
        {"role": "tool", "tool_call_id": "call_0", "content": "a wading bird"},
    ]
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
        if not tokenizer.chat_template:
            raise ConfigError(
                f"{folder} has no chat template; an agent's target and draft need one that renders tools."
            )
        rendered = tokenizer.apply_chat_template(messages, tools=[_TOOL], tokenize=False, add_generation_prompt=True)
    except ConfigError:
        raise
    except Exception as error:  # whatever a template or a tokenizer's files raise, the folder cannot be served
        raise ConfigError(f"The tokenizer or chat template of {folder} fails: {error}") from error
    wanted = {"the tools": "Find a word", "calls": "heron", "results": "a wading bird"}
    opener = _OPENERS.get(tool_call_parser)
    missing = [what for what, text in wanted.items() if text not in rendered]
    if missing:
        raise ConfigError(f"The chat template of {folder} leaves out {' and '.join(missing)}; an agent needs them all.")
    if opener is not None and opener not in rendered:
        raise ConfigError(
            f"The chat template of {folder} writes calls without {opener}, which the tool-call parser "
            f"{tool_call_parser} looks for. Choose the parser that fits the model."
        )
