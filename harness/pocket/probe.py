"""What a model in training can do on held-out tasks, cheaply: each token chosen greedily, given the right text before.

A call or an answer counts if all its tokens are chosen. For a model that calls at once that is its greedy accuracy; for
one that reasons it is the accuracy of what follows right reasoning.
"""

import csv
import dataclasses
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from harness.pocket.conversations import NOT_LEARNT, ConversationEncoder
from harness.pocket.network import Batch, PocketNetwork
from harness.pocket.world import draw_task

NUM_PROBED = 256
_ROWS_AT_A_TIME = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the learning curve, after `step` steps and `seconds` of training.

    `loss` is the mean since the row before, in nats per token that the model writes. The rates are those of the probe,
    None where it was not run.
    """

    step: int
    tokens: int
    loss: float
    seconds: float
    call_rate: float | None = None
    answer_rate: float | None = None


def as_csv(curve: Sequence[Row]) -> str:
    """Return a learning curve as CSV, empty where the probe was not run."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(field.name for field in dataclasses.fields(Row))
    for row in curve:
        writer.writerow(_shown(value) for value in dataclasses.astuple(row))
    return text.getvalue()


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


class Probe:
    """The same held-out conversations for every model."""

    def __init__(self, encoder: ConversationEncoder, num_tasks: int = NUM_PROBED) -> None:
        draw = random.Random("pocket probe")
        tasks = [draw_task(draw, "held_out", task_id=str(index)) for index in range(num_tasks)]
        self._conversations = encoder.encode(tasks)
        self._spans = [encoder.spans(conversation) for conversation in self._conversations]

    @torch.inference_mode()
    def rates(self, network: PocketNetwork, device: torch.device) -> tuple[float, float]:
        """Return the share of calls and of final answers that are right."""
        are_right: dict[bool, list[bool]] = {True: [], False: []}
        for first in range(0, len(self._conversations), _ROWS_AT_A_TIME):
            rows = slice(first, first + _ROWS_AT_A_TIME)
            batch = Batch.of(self._conversations[rows], device)
            is_chosen = torch.ones(len(batch.token_ids), dtype=torch.bool, device=device)
            is_learnt = batch.targets != NOT_LEARNT
            is_chosen[batch.places[is_learnt] + 1] = (network(batch).argmax(-1) == batch.targets)[is_learnt]
            start = 0
            for conversation, spans in zip(self._conversations[rows], self._spans[rows], strict=True):
                for span in spans:
                    are_right[span.is_call].append(bool(is_chosen[start + span.start : start + span.end].all()))
                start += len(conversation.token_ids)
        return _share(are_right[True]), _share(are_right[False])


def _share(are_right: Sequence[bool]) -> float:
    return sum(are_right) / max(1, len(are_right))
