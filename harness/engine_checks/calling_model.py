"""Trains a small Qwen3 that calls tools, on the CPU, in about a minute: weights whose choices react to all they read.

It learns the form of a turn from conversations that are drawn anew for each step. A few others it learns by heart: from
them it becomes sure of its choices, and in a conversation it has not seen those follow from the whole context. Its
calls are well-formed and otherwise arbitrary.
"""

import contextlib
import hashlib
import json
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Read when torch is loaded: threads that spin while they wait make a step several times slower on a busy machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from harness.engine_checks import hermes, world
from harness.engine_checks.hermes import HermesTokens
from harness.replay.tiny_model import TinyArchitecture, make_tiny_model

ARCHITECTURE = TinyArchitecture(
    hidden_size=128, num_layers=3, num_heads=2, head_size=64, ff_size=256, vocab_size=2048, max_position_embeddings=4096
)
_NUM_STEPS = 200
_NUM_WARM_UP_STEPS = 20
_NUM_BY_HEART = 12
_BY_HEART_PER_STEP = 3
_ANEW_PER_STEP = 5
_NUM_TURNS = 8
_MUON_RATE = 0.02
_ADAM_RATE = 3e-3
_IGNORED = -100

Conversation = tuple[list[int], list[int]]
"""Token ids, and the same with `_IGNORED` in place of those that the model does not write."""


def make_calling_model(cache: Path, console: Console) -> Path:
    """Return the model's folder under `cache`, training it if it is not there."""
    tiny = make_tiny_model(ARCHITECTURE, cache)
    sources = [Path(file).read_text(encoding="utf-8") for file in (__file__, world.__file__, hermes.__file__)]
    folder = cache / f"calling-{hashlib.sha256(''.join([tiny.name, *sources]).encode()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    model = _train(tiny, console)
    partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=cache))
    model.save_pretrained(partial)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(tiny / name, partial / name)
    with contextlib.suppress(OSError):  # another process was faster
        partial.replace(folder)
    shutil.rmtree(partial, ignore_errors=True)
    return folder


def _train(tiny: Path, console: Console) -> Any:
    torch.manual_seed(0)
    config = json.loads((tiny / "config.json").read_text()) | {"dtype": "float32"}
    model: Any = Qwen3ForCausalLM(Qwen3Config(**config))
    model.to(torch.float32)
    # Muon takes matrices only, and embeddings do better without it.
    is_inner = {name: weight.ndim == 2 and "embed" not in name for name, weight in model.named_parameters()}
    inner = [weight for name, weight in model.named_parameters() if is_inner[name]]
    others = [weight for name, weight in model.named_parameters() if not is_inner[name]]
    muon = torch.optim.Muon(inner, lr=_MUON_RATE, weight_decay=0.0)
    adam = torch.optim.AdamW(others, lr=_ADAM_RATE, weight_decay=0.0, betas=(0.9, 0.95))
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, _rate_at) for optimizer in (muon, adam)]
    for batch in _shown(_batches(tiny), console):
        with torch.autocast("cpu", torch.bfloat16):
            loss = _loss(model, batch)
        model.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, schedule in zip((muon, adam), schedules, strict=True):
            optimizer.step()
            schedule.step()
    return model


def _rate_at(step: int) -> float:
    return min(1.0, (step + 1) / _NUM_WARM_UP_STEPS) * (1.0 - 0.9 * step / _NUM_STEPS)


def _loss(model: Any, batch: list[Conversation]) -> torch.Tensor:
    longest = max(len(token_ids) for token_ids, _ in batch)
    inputs = torch.tensor([token_ids + [0] * (longest - len(token_ids)) for token_ids, _ in batch])
    labels = torch.tensor([labels + [_IGNORED] * (longest - len(labels)) for _, labels in batch])[:, 1:]
    hidden = model.model(input_ids=inputs).last_hidden_state[:, :-1]
    is_learnt = labels != _IGNORED
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[is_learnt]).float(), labels[is_learnt])


def _batches(tiny: Path) -> Iterator[list[Conversation]]:
    tokens, tokenizer = HermesTokens(tiny), AutoTokenizer.from_pretrained(str(tiny))
    by_heart = [_conversation(random.Random(f"by heart {index}"), tokens, tokenizer) for index in range(_NUM_BY_HEART)]
    draw = random.Random("anew")
    for _ in range(_NUM_STEPS):
        anew = [_conversation(draw, tokens, tokenizer) for _ in range(_ANEW_PER_STEP)]
        yield [*draw.sample(by_heart, _BY_HEART_PER_STEP), *anew]


def _conversation(draw: random.Random, tokens: HermesTokens, tokenizer: Any) -> Conversation:
    asked = [{"role": "user", "content": world.question(draw)}]
    prompt = tokenizer.apply_chat_template(asked, tools=world.TOOLS, tokenize=False, add_generation_prompt=True)
    token_ids = tokens.written(prompt)
    labels = [_IGNORED] * len(token_ids)
    for _ in range(_NUM_TURNS):
        text, call = world.turn(draw)
        turn, result = tokens.written(f"{text}<|im_end|>"), tokens.result(world.observe(call))
        token_ids += [*turn, *result]
        labels += [*turn, *[_IGNORED] * len(result)]
    return token_ids, labels


def _shown(batches: Iterator[list[Conversation]], console: Console) -> Iterator[list[Conversation]]:
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("steps, left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("training the calling model", total=_NUM_STEPS)
        for step, batch in enumerate(batches):
            if step % 50 == 0 and not console.is_terminal:
                left_s = progress.tasks[task].time_remaining
                left = "" if left_s is None else f", about {left_s:.0f} s left"
                console.print(f"training the calling model: step {step} of {_NUM_STEPS}{left}", highlight=False)
            yield batch
            progress.advance(task)
