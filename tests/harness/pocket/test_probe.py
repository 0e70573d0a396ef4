"""The probe counts a call or an answer when each of its tokens is chosen; the curve is written as it was measured."""

import torch

from harness.pocket.network import Batch
from harness.pocket.probe import Probe, Row, as_csv
from tests.harness.pocket import tiny

CPU = torch.device("cpu")
NUM_TASKS = 40


class Chooser:
    """Stands for a network: chooses the right tokens but for those at `wrong`, counted over all conversations."""

    def __init__(self, wrong: set[int]) -> None:
        self._wrong = wrong
        self._num_seen = 0

    def __call__(self, batch: Batch) -> torch.Tensor:
        logits = torch.nn.functional.one_hot(batch.targets.clamp(min=0), 1024).float()
        for row, place in enumerate(batch.places.tolist()):
            if self._num_seen + place + 1 in self._wrong:
                logits[row] = -logits[row]
        self._num_seen += int((batch.cells < (batch.num_rows - 1) * batch.longest).sum())
        return logits


def spans_of(probe: Probe) -> list[tuple[int, int, bool]]:
    """The probe's spans, counted over all conversations."""
    found, start = [], 0
    for conversation, spans in zip(probe._conversations, probe._spans, strict=True):
        found += [(start + span.start, start + span.end, span.is_call) for span in spans]
        start += len(conversation.token_ids)
    return found


def test_a_network_that_chooses_every_token_gets_all_right():
    assert Probe(tiny.encoder(), NUM_TASKS).rates(Chooser(set()), CPU) == (1.0, 1.0)


def test_one_wrong_token_costs_its_call_or_its_answer_and_nothing_else():
    probe = Probe(tiny.encoder(), NUM_TASKS)
    spans = spans_of(probe)
    num_calls = sum(is_call for _, _, is_call in spans)
    assert num_calls > 20
    for start, end, is_call in [next(s for s in spans if s[2]), next(s for s in spans if not s[2]), spans[-1]]:
        for wrong in (start, end - 1):
            call_rate, answer_rate = probe.rates(Chooser({wrong}), CPU)
            assert call_rate == 1 - is_call / num_calls
            assert answer_rate == 1 - (not is_call) / NUM_TASKS


def test_wrong_reasoning_costs_no_call():
    probe = Probe(tiny.encoder(), NUM_TASKS)
    within = {index for start, end, _ in spans_of(probe) for index in range(start, end)}
    total = sum(len(conversation.token_ids) for conversation in probe._conversations)
    assert probe.rates(Chooser(set(range(total)) - within), CPU) == (1.0, 1.0)


def test_the_curve_is_empty_where_the_probe_was_not_run():
    curve = [
        Row(step=25, tokens=1000, loss=6.5, seconds=2.25),
        Row(step=50, tokens=2000, loss=5, seconds=4.5, call_rate=0.0, answer_rate=0.25),
    ]
    assert as_csv(curve) == (
        "step,tokens,loss,seconds,call_rate,answer_rate\n25,1000,6.5000,2.2500,,\n50,2000,5,4.5000,0.0000,0.2500\n"
    )
