"""Admission: reservations by worst case, below a cap that leaves one longest request's room."""

import random

import pytest

from precall.engine.admission import Admission
from precall.errors import ConfigError


def admission(num_blocks=21, max_num_seqs=8, **changes):
    """A longest request takes 8 blocks of 16 tokens, so 12 of 21 are admissible (one is vLLM's null block)."""
    sizes = {"num_longest": 8, "block_size": 16, "max_model_len": 128, "max_num_seqs": max_num_seqs}
    return Admission(num_blocks=num_blocks, **(sizes | changes))


def test_room_for_one_longest_request_stays_outside_the_cap():
    room = admission()
    assert room.num_admissible == 12
    assert room.admit(128) is not None
    assert room.admit(65) is None
    assert room.admit(64) is not None
    assert room.admit(1) is None


def test_a_reservation_grows_only_into_free_room_and_gives_all_back():
    room = admission()
    with room.admit(16) as first, room.admit(16 * 10) as second:
        assert room.num_reserved == 9, "no sequence takes more than a longest request"
        assert first.grow(16 * 4)
        assert not second.grow(10**9) or room.num_reserved == 12
        assert not first.grow(16 * 5)
        assert room.num_reserved == 12
    assert (room.num_reserved, room.num_sessions) == (0, 0)


def test_one_seat_stays_free():
    room = admission(num_blocks=1000, max_num_seqs=3)
    assert [room.admit(1) is not None for _ in range(3)] == [True, True, False]
    assert admission(num_blocks=1000, max_num_seqs=1).admit(1) is None


def test_a_cache_too_small_for_more_than_one_longest_request_admits_nothing():
    assert admission(num_blocks=9).admit(1) is None
    assert admission(num_blocks=2).num_admissible == 0


@pytest.mark.parametrize("num_blocks", [0, -1])
def test_a_cache_of_unknown_size_is_refused(num_blocks):
    with pytest.raises(ConfigError, match=f"{num_blocks} blocks"):
        admission(num_blocks=num_blocks)


def test_layers_with_a_sliding_window_take_blocks_of_their_own():
    """They take as many as the others until the window is full: of the 11 of a longest request then 3."""
    room = admission(num_blocks=40, num_longest=11)
    assert room.num_admissible == 40 - 1 - 11
    with room.admit(1) as session:
        for num_tokens, num_blocks in ((1, 2), (16, 2), (17, 4), (48, 6), (49, 7), (128, 11), (1000, 11)):
            assert session.grow(num_tokens)
            assert room.num_reserved == num_blocks
    # A window that never fills: vLLM counts a block more than a request can hold.
    room = admission(num_blocks=40, num_longest=17)
    with room.admit(128):
        assert room.num_reserved == 16


def test_a_model_that_does_not_keep_all_tokens_is_refused():
    with pytest.raises(ConfigError, match="128 tokens take 7 blocks of 16 tokens"):
        admission(num_longest=7)


def test_sessions_that_reserve_can_always_all_go_on():
    """However sessions come, grow and go, what they may become fits beside one longest request: nobody waits."""
    draw = random.Random(0)
    room = admission(num_blocks=40, max_num_seqs=100)
    sessions = []
    for _ in range(5000):
        kind = draw.choice(("come", "grow", "go"))
        if kind == "come" and (reservation := room.admit(draw.randint(1, 200))):
            sessions.append(reservation.__enter__())
        elif kind == "grow" and sessions:
            draw.choice(sessions).grow(draw.randint(1, 200))
        elif kind == "go" and sessions:
            sessions.pop(draw.randrange(len(sessions))).__exit__()
        assert room.num_reserved == sum(session._num_blocks for session in sessions) <= 40 - 1 - 8
        assert room.num_sessions == len(sessions)


def test_what_a_step_may_draft_beyond_the_end_is_reserved_too():
    drafting = admission(num_blocks=17, num_draft_tokens=32)
    assert drafting.admit(16) is not None
    assert drafting.num_reserved == 3, "16 tokens and 32 drafted ones take three blocks of 16"
    assert drafting.admit(128) is None, "five are left, a longest sequence takes eight, drafts within it"
    assert drafting.admit(48) is not None
