"""The network computes what transformers computes with the exported weights, conversation by conversation."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.pocket.conversations import Conversation
from harness.pocket.network import Batch
from harness.pocket.world import draw_task
from tests.harness.pocket import tiny

CPU = torch.device("cpu")


def conversations() -> list[Conversation]:
    draw = random.Random("network")
    return tiny.encoder().encode([draw_task(draw, "train", task_id="") for _ in range(6)])


@pytest.fixture(scope="module", params=[tiny.TARGET, tiny.DRAFT], ids=lambda model: model.name)
def model(request):
    return request.param


@torch.inference_mode()
def test_a_batch_gives_the_logits_that_transformers_gives_each_conversation_alone(model, tmp_path: Path):
    loaded = AutoModelForCausalLM.from_pretrained(tiny.exported(tmp_path / "m", model), dtype=torch.float32)
    logits = tiny.network(model)(Batch.of(conversations(), CPU))
    expected = []
    for token_ids, labels in conversations():
        alone = loaded(input_ids=torch.tensor([token_ids])).logits[0]
        expected.append(alone[[index - 1 for index, label in enumerate(labels) if label >= 0]])
    assert logits.std() > 0.5, "a network that says little hides its errors"
    torch.testing.assert_close(logits, torch.cat(expected), rtol=1e-3, atol=1e-3)


def test_a_batch_asks_for_each_token_that_the_model_writes_behind_the_token_before_it():
    batch = Batch.of(conversations(), CPU)
    labels = [label for conversation in conversations() for label in conversation.labels]
    token_ids = [token_id for conversation in conversations() for token_id in conversation.token_ids]
    assert batch.targets.tolist() == [label for label in labels if label >= 0]
    assert batch.token_ids.tolist() == token_ids
    assert (batch.places + 1).tolist() == [index for index, label in enumerate(labels) if label >= 0]


def test_padding_gets_in_and_out_without_a_trace():
    batch = Batch.of(conversations(), CPU)
    values = torch.randn(len(batch.token_ids), 3, requires_grad=True)
    assert torch.equal(batch.unpadded(batch.padded(values)), values)
    batch.padded(values).sum().backward()
    assert torch.equal(values.grad, torch.ones_like(values))
