"""What an endpoint says of the tokens that it counted, and what is added up of it."""

from types import SimpleNamespace

import pytest

from precall.usage import Usage, UsageMeter, estimated_tokens


def said(prompt=10, output=4, cached=None, reasoning=None):
    return SimpleNamespace(
        prompt_tokens=prompt,
        completion_tokens=output,
        prompt_tokens_details=None if cached is None else SimpleNamespace(cached_tokens=cached),
        completion_tokens_details=None if reasoning is None else SimpleNamespace(reasoning_tokens=reasoning),
    )


def test_all_four_counts_are_read():
    usage = Usage.parse(said(cached=8, reasoning=3))
    assert usage == Usage(num_prompt_tokens=10, num_cached_prompt_tokens=8, num_output_tokens=4, num_reasoning_tokens=3)
    assert usage.num_tokens == 14


def test_details_that_are_left_out_are_not_said():
    assert Usage.parse(said()) == Usage(num_prompt_tokens=10, num_output_tokens=4)


@pytest.mark.parametrize("wrong", [None, -1, "10", 1.5, True])
def test_a_count_that_is_none_is_not_said(wrong):
    assert Usage.parse(said(prompt=wrong, cached=0)) == Usage(num_output_tokens=4)
    assert Usage.parse(said(prompt=wrong)).num_tokens is None


def test_a_part_larger_than_its_whole_is_not_said():
    usage = Usage.parse(said(cached=11, reasoning=5))
    assert (usage.num_cached_prompt_tokens, usage.num_reasoning_tokens) == (None, None)


def test_details_may_come_as_dictionaries():
    usage = said()
    usage.prompt_tokens_details = {"cached_tokens": 2}
    assert Usage.parse(usage).num_cached_prompt_tokens == 2


def test_counted_requests_are_added_up():
    meter = UsageMeter()
    meter.count(Usage.parse(said(cached=8, reasoning=3)))
    meter.count(Usage.parse(said(prompt=20, output=7)))
    assert (meter.num_prompt_tokens, meter.num_cached_prompt_tokens) == (30, 8)
    assert (meter.num_output_tokens, meter.num_reasoning_tokens) == (11, 3)
    assert (meter.num_counted, meter.mean_output_tokens) == (2, 6)


def test_a_request_that_was_cut_off_counts_its_size_and_what_others_put_out():
    meter = UsageMeter()
    meter.estimate(num_request_bytes=10, num_streamed_tokens=2)
    assert (meter.num_estimated_prompt_tokens, meter.num_estimated_output_tokens) == (4, 2)
    meter.count(Usage.parse(said(output=9)))
    meter.estimate(num_request_bytes=3, num_streamed_tokens=2)  # reasoning is billed and was never seen
    assert (meter.num_estimated_prompt_tokens, meter.num_estimated_output_tokens) == (5, 11)
    assert (meter.num_uncounted, meter.num_counted, meter.num_prompt_tokens) == (2, 1, 10)


def test_an_estimate_is_rounded_up():
    assert [estimated_tokens(num_bytes) for num_bytes in (0, 1, 3, 4)] == [0, 1, 1, 2]
