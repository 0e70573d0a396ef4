"""The vLLM plugin of replay: forced rows, the bookkeeping of the batch, refused parameters. Needs vLLM, no engine."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor.interface import BatchUpdate, MoveDirectionality

from harness.replay.plugin import PARAMETER, ReplayLogitsProcessor

VOCAB_SIZE = 10
ONE_WAY, SWAP = MoveDirectionality.UNIDIRECTIONAL, MoveDirectionality.SWAP
Row = tuple[int, SamplingParams, list[int] | None, list[int]]


@pytest.fixture
def processor() -> ReplayLogitsProcessor:
    model_config = SimpleNamespace(get_vocab_size=lambda: VOCAB_SIZE)
    config: Any = SimpleNamespace(model_config=model_config)
    return ReplayLogitsProcessor(config, torch.device("cpu"), False)


def row(index: int, token_ids: list[int] | None, output: list[int]) -> Row:
    extra_args = None if token_ids is None else {PARAMETER: token_ids}
    return index, SamplingParams(extra_args=extra_args), [1, 2], output


def update(processor: ReplayLogitsProcessor, **changes: Any) -> None:
    processor.update_state(BatchUpdate(**({"batch_size": 4, "removed": [], "added": [], "moved": []} | changes)))


def forced(processor: ReplayLogitsProcessor, num_rows: int = 4) -> list[int | None]:
    """Return the token that each row is forced to, None for a row that was left alone."""
    before = torch.arange(num_rows * VOCAB_SIZE, dtype=torch.float32).reshape(num_rows, VOCAB_SIZE)
    after = processor.apply(before.clone())
    tokens: list[int | None] = []
    for index in range(num_rows):
        finite = torch.isfinite(after[index]).nonzero().flatten().tolist()
        is_alone = torch.equal(after[index], before[index])
        assert is_alone or len(finite) == 1, f"row {index} has the finite logits {finite}"
        tokens.append(None if is_alone else finite[0])
    return tokens


def test_each_step_forces_the_next_recorded_token_and_the_end_leaves_the_row_alone(
    processor: ReplayLogitsProcessor,
) -> None:
    output: list[int] = []
    update(processor, added=[row(1, [7, 3, 9], output)])
    seen = []
    for _ in range(5):
        seen.append(forced(processor)[1])
        output.append(-1)  # a placeholder, as under async scheduling: only the length counts
        processor.update_state(None)
    assert seen == [7, 3, 9, None, None]


def test_rows_without_the_parameter_are_left_alone(processor: ReplayLogitsProcessor) -> None:
    update(processor, added=[row(0, None, []), row(1, [5], []), row(2, [], [])])
    assert forced(processor) == [None, 5, None, None]


def test_a_batch_without_replay_gets_its_logits_back_untouched(processor: ReplayLogitsProcessor) -> None:
    logits = torch.randn(2, VOCAB_SIZE)
    assert processor.apply(logits) is logits
    assert forced(processor, 2) == [None, None]


def test_a_removed_row_is_no_longer_forced(processor: ReplayLogitsProcessor) -> None:
    update(processor, added=[row(0, [5], []), row(1, [6], [])])
    update(processor, removed=[0, 3])
    assert forced(processor) == [None, 6, None, None]


def test_a_request_added_in_the_place_of_another_replaces_it(processor: ReplayLogitsProcessor) -> None:
    update(processor, added=[row(0, [5], []), row(1, [6], [])])
    update(processor, removed=[0], added=[row(0, [8], []), row(1, None, [])])
    assert forced(processor) == [8, None, None, None]


def test_a_moved_row_leaves_nothing_behind_and_replaces_what_was_there(processor: ReplayLogitsProcessor) -> None:
    update(processor, added=[row(0, [5], []), row(3, [6], [])])
    update(processor, moved=[(3, 0, ONE_WAY)])
    assert forced(processor) == [6, None, None, None]


def test_an_unforced_row_that_moves_onto_a_forced_one_replaces_it(processor: ReplayLogitsProcessor) -> None:
    update(processor, added=[row(0, [5], []), row(3, None, [])])
    update(processor, moved=[(3, 0, ONE_WAY)])
    assert forced(processor) == [None, None, None, None]


def test_swapped_rows_take_their_tokens_along(processor: ReplayLogitsProcessor) -> None:
    update(processor, added=[row(0, [5], []), row(1, [6], []), row(2, [7], [])])
    update(processor, moved=[(0, 1, SWAP), (2, 3, SWAP)])
    assert forced(processor) == [6, 5, None, 7]


def test_removals_come_before_additions_and_additions_before_moves(processor: ReplayLogitsProcessor) -> None:
    update(processor, added=[row(0, [5], []), row(1, [6], [])])
    update(processor, removed=[0], added=[row(2, [7], [])], moved=[(2, 0, ONE_WAY)])
    assert forced(processor) == [7, 6, None, None]


def test_a_moved_row_goes_on_with_its_own_length(processor: ReplayLogitsProcessor) -> None:
    output: list[int] = [-1]
    update(processor, added=[row(0, [5, 6, 7], output)])
    update(processor, moved=[(0, 2, ONE_WAY)])
    output.append(-1)
    assert forced(processor) == [None, None, 7, None]


def test_a_token_outside_the_vocabulary_is_not_forced_and_does_not_end_the_engine(
    processor: ReplayLogitsProcessor,
) -> None:
    update(processor, added=[row(0, [VOCAB_SIZE], []), row(1, [VOCAB_SIZE - 1], [])])
    assert forced(processor) == [None, VOCAB_SIZE - 1, None, None]


def test_greedy_sampling_does_not_skip_the_processor(processor: ReplayLogitsProcessor) -> None:
    assert processor.is_argmax_invariant() is False


@pytest.mark.parametrize(
    "token_ids", ["5", 5, [5, -1], [5, 1.0], [True], [[5]], [5, None]], ids=lambda value: str(value)
)
def test_a_parameter_that_is_no_flat_list_of_token_ids_is_refused(token_ids: object) -> None:
    with pytest.raises(ValueError, match="replay_token_ids must be a flat list of token ids"):
        ReplayLogitsProcessor.validate_params(SamplingParams(extra_args={PARAMETER: token_ids}))


def test_fewer_tokens_than_recorded_are_refused_before_the_engine_cuts_the_turn() -> None:
    with pytest.raises(ValueError, match=r"holds 3 tokens and max_tokens is 2; it must be at least as large"):
        ReplayLogitsProcessor.validate_params(SamplingParams(max_tokens=2, extra_args={PARAMETER: [1, 2, 3]}))


@pytest.mark.parametrize("extra_args", [None, {}, {PARAMETER: None}, {PARAMETER: []}, {PARAMETER: [0, 1]}])
def test_a_good_parameter_and_none_at_all_pass(extra_args: dict[str, Any] | None) -> None:
    params = SamplingParams(max_tokens=2, extra_args=extra_args)
    ReplayLogitsProcessor.validate_params(params)
    assert params.extra_args == extra_args, "checking changes nothing"
