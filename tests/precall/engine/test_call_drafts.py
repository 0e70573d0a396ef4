"""Which tokens are drafted: worked out by hand on small numbers. The opener is 1 or (8, 1), the end of a turn 2."""

import time

import numpy as np
import pytest

from precall.engine.call_drafts import MAX_CANDIDATES, MAX_TOKENS, CallDrafts, Candidate

A = (10, 11, 12, 13)
B = (10, 21, 22)


def candidate(serial, token_ids, style=0):
    return Candidate(serial=serial, style=style, token_ids=token_ids)


def drafts_of(*candidates, opener=(1,)) -> CallDrafts:
    drafts = CallDrafts(opener, 2)
    drafts.add("r", candidates)
    return drafts


def draft(drafts, *generated, limit=100, key="r"):
    return drafts.draft(key, np.array(generated, dtype=np.int32), limit)


def test_nothing_is_drafted_before_the_opener():
    drafts = drafts_of(candidate(0, A))
    assert draft(drafts) == []
    assert draft(drafts, 5, 10) == []


def test_the_latest_call_is_drafted_from_the_opener_on():
    drafts = drafts_of(candidate(0, A), candidate(1, B))
    assert draft(drafts, 5, 1) == [*B]


def test_a_draft_goes_on_from_what_the_model_has_written_of_the_call():
    assert draft(drafts_of(candidate(0, A)), 5, 1, 10, 11) == [12, 13]


def test_another_call_is_drafted_once_the_model_has_turned_to_it():
    drafts = drafts_of(candidate(0, A), candidate(1, B))
    assert draft(drafts, 1, 10, 11) == [12, 13]


def test_a_call_that_no_candidate_goes_on_from_is_not_drafted():
    drafts = drafts_of(candidate(0, A), candidate(1, B))
    assert draft(drafts, 1, 10, 99) == []


def test_a_call_that_is_written_is_not_drafted_again():
    drafts = drafts_of(candidate(0, A), candidate(1, B))
    assert draft(drafts, 1, *B) == []
    assert draft(drafts, 1, *B, 7, 1) == [*A]
    assert draft(drafts, 1, *B, 7, 1, *A, 1) == []


def test_a_written_call_stays_written_in_the_next_turn_until_it_is_posted_again():
    drafts = drafts_of(candidate(0, B))
    draft(drafts, 1, *B, 2)
    assert draft(drafts, 1) == []
    drafts.add("r", [candidate(5, B)])
    assert draft(drafts, 1) == [*B]


def test_a_draft_is_cut_at_the_limit():
    assert draft(drafts_of(candidate(0, A)), 1, limit=3) == [10, 11, 12]


def test_the_style_in_which_the_last_call_was_written_goes_first():
    other = (30, 31)
    drafts = drafts_of(candidate(0, A, style=0), candidate(0, other, style=1))
    assert draft(drafts, 1) == [*A]
    draft(drafts, 1, *other)
    drafts.add("s", [candidate(1, A, style=0), candidate(1, other, style=1)])
    assert draft(drafts, 1, key="s") == [*other]


def test_an_opener_of_several_tokens_is_found_as_a_whole():
    drafts = drafts_of(candidate(0, A), opener=(8, 1))
    assert draft(drafts, 8, 1) == [*A]
    assert draft(drafts, 1) == []
    assert draft(drafts, 8, 5, 1) == []
    assert draft(drafts, 8, 1, 10, 1, 11) == [], "a token of the opener inside a call is no opener"


def test_responses_do_not_see_each_other():
    drafts = drafts_of(candidate(0, A))
    assert draft(drafts, 1, key="s") == []
    drafts.drop("r")
    assert draft(drafts, 1) == []
    assert len(drafts) == 0


def test_only_the_latest_candidates_are_kept():
    drafts = drafts_of(*(candidate(serial, (serial + 100,)) for serial in range(MAX_CANDIDATES + 1)))
    assert draft(drafts, 1) == [MAX_CANDIDATES + 100]
    drafts.add("r", [candidate(10**6, (9,))])
    assert len(drafts._responses["r"].candidates) == MAX_CANDIDATES


def test_the_end_of_a_turn_is_never_drafted():
    with pytest.raises(AssertionError, match="never drafted"):
        drafts_of(candidate(0, (10, 2)))


def test_a_call_posted_again_takes_no_more_room():
    drafts = drafts_of(*(candidate(serial, A) for serial in range(1000)))
    assert [item.serial for item in drafts._responses["r"].candidates] == [999]


def test_the_tokens_of_a_response_are_bounded_together():
    drafts = drafts_of(*(candidate(serial, (serial + 100,) * (MAX_TOKENS // 4)) for serial in range(10)))
    assert [item.serial for item in drafts._responses["r"].candidates] == [9, 8, 7, 6]


def test_a_model_that_writes_nothing_but_openers_does_not_hold_up_the_step():
    drafts = drafts_of(*(candidate(serial, (*A, serial + 100)) for serial in range(MAX_CANDIDATES)))
    generated = np.full(30_000, 1, dtype=np.int32)
    started_s = time.process_time()
    assert drafts.draft("r", generated, 100)[:4] == [*A]
    assert time.process_time() - started_s < 0.1


def test_what_stands_far_behind_the_opener_is_no_call():
    assert draft(drafts_of(candidate(0, A)), 1, *A[:2], *range(20, 40)) == []
