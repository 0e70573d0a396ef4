"""The network computes what transformers computes with the exported weights, conversation by conversation."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.pocket.conversations import NOT_LEARNT, Conversation
from harness.pocket.network import Batch
from harness.pocket.world import draw_task
from tests.harness.pocket import tiny

CPU = torch.device("cpu")


def conversations(seed: int = 0) -> list[Conversation]:
    draw = random.Random(seed)
    return tiny.encoder().encode([draw_task(draw, "train", task_id="") for _ in range(6)])


@pytest.fixture(scope="module", params=[tiny.TARGET, tiny.DRAFT], ids=lambda model: model.name)
def model(request):
    return request.param


@torch.inference_mode()
def test_a_batch_gives_the_logits_that_transformers_gives_each_conversation_alone(model, tmp_path: Path):
    loaded = AutoModelForCausalLM.from_pretrained(tiny.exported(tmp_path / "m", model), dtype=torch.float32)
    batch = Batch.of(conversations(), CPU)
    logits = tiny.network(model)(batch)[batch.targets != NOT_LEARNT]
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
    is_learnt = batch.targets != NOT_LEARNT
    assert batch.targets[is_learnt].tolist() == [label for label in labels if label != NOT_LEARNT]
    assert batch.token_ids[: len(token_ids)].tolist() == token_ids
    places = [index - 1 for index, label in enumerate(labels) if label != NOT_LEARNT]
    assert batch.places[is_learnt].tolist() == places


def test_batches_have_few_sizes():
    sizes = set()
    for first in range(0, 60, 6):
        batch = Batch.of(conversations(first), CPU)
        sizes.add((len(batch.token_ids) % 256, len(batch.places) % 256, len(batch.targets) % 256, batch.longest % 32))
        assert batch.padded(batch.positions).shape == (7, batch.longest)
    assert sizes == {(0, 0, 0, 0)}


def test_padding_gets_in_and_out_without_a_trace():
    batch = Batch.of(conversations(), CPU)
    values = torch.randn(len(batch.token_ids), 3, requires_grad=True)
    num_tokens = sum(len(conversation.token_ids) for conversation in conversations())
    assert torch.equal(batch.unpadded(batch.padded(values))[:num_tokens], values[:num_tokens])
    batch.padded(values)[:-1].sum().backward()
    assert torch.equal(values.grad[:num_tokens], torch.ones(num_tokens, 3))
    assert not values.grad[num_tokens:].any(), "what fills up is in a row of its own"
