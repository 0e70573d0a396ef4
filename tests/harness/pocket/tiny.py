"""A model of the pocket family's kind that is small enough to train in a test."""

import functools
from pathlib import Path

import torch
from tokenizers import Tokenizer

from harness.pocket.conversations import ConversationEncoder
from harness.pocket.export import export
from harness.pocket.family import PocketModel
from harness.pocket.network import PocketNetwork
from harness.pocket.probe import Row
from harness.pocket.tokenizer import make_tokenizer

TARGET = PocketModel(
    name="tiny", hidden_size=64, num_layers=2, num_heads=2, head_size=32, ff_size=96, num_steps=6, seed=3,
    has_reasoning=True,
)  # fmt: skip
DRAFT = PocketModel(
    name="tiny_draft", hidden_size=32, num_layers=1, num_heads=1, head_size=32, ff_size=32, num_steps=6, seed=3
)
CURVE = [
    Row(step=3, tokens=100, loss=6.5, seconds=1.5),
    Row(step=6, tokens=210, loss=5.25, seconds=90.0, call_rate=0.125, answer_rate=0.5),
]


@functools.cache
def tokenizer() -> Tokenizer:
    return make_tokenizer()


def encoder(model: PocketModel = TARGET) -> ConversationEncoder:
    return ConversationEncoder(tokenizer(), has_reasoning=model.has_reasoning)


def network(model: PocketModel = TARGET) -> PocketNetwork:
    """Random weights of a size that makes attention matter."""
    torch.manual_seed(0)
    made = PocketNetwork(model)
    with torch.no_grad():
        for weight in made.parameters():
            weight.copy_(torch.randn_like(weight) * (0.2 if weight.ndim == 2 else 0.1) + (weight.ndim == 1))
            weight.copy_(weight.bfloat16())
    return made


def exported(folder: Path, model: PocketModel = TARGET) -> Path:
    export(model, network(model), tokenizer(), CURVE, folder)
    return folder
