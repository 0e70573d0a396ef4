"""A difference between two runs is found, and at the right place."""

from dataclasses import replace

import pytest

from harness.engine_checks.comparison import Trace, TracedTurn, context_divergence, divergence_of

TRACE: Trace = (
    TracedTurn(prompt=(1, 2, 3), generated=(4, 5, 6)),
    TracedTurn(prompt=(1, 2, 3, 4, 5, 6, 7), generated=(8, 9)),
)


def with_turn(turn: int, **changed: tuple[int, ...]) -> Trace:
    turns = list(TRACE)
    turns[turn] = replace(turns[turn], **changed)
    return tuple(turns)


def test_the_same_tokens_do_not_diverge() -> None:
    assert divergence_of("o3", 0, TRACE, with_turn(0)) is None


@pytest.mark.parametrize(
    ("found", "turn", "what", "position", "shown"),
    [
        (with_turn(0, generated=(4, 0, 6)), 0, "generated", 1, ((5, 6), (0, 6))),
        (with_turn(1, prompt=(1, 2, 3, 4, 5, 0, 7)), 1, "prompt", 5, ((6, 7), (0, 7))),
        (with_turn(1, generated=(8,)), 1, "generated", 1, ((9,), ())),
        (with_turn(1, generated=(8, 9, 10)), 1, "generated", 2, ((), (10,))),
        (TRACE[:1], 1, "prompt", 0, (TRACE[1].prompt, ())),
        ((*TRACE, TracedTurn(prompt=(1,), generated=())), 2, "prompt", 0, ((), (1,))),
    ],
)
def test_a_changed_absent_or_additional_token_is_found_at_its_place(
    found: Trace, turn: int, what: str, position: int, shown: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    divergence = divergence_of("o3", 7, TRACE, found)
    assert divergence is not None
    assert (divergence.arm, divergence.sequence) == ("o3", 7)
    assert (divergence.turn, divergence.what, divergence.position) == (turn, what, position)
    assert (divergence.expected, divergence.found) == shown


def test_the_first_of_two_differences_is_told() -> None:
    found = (replace(TRACE[0], generated=(4, 5, 0)), replace(TRACE[1], generated=(0, 0)))
    divergence = divergence_of("o3", 0, TRACE, found)
    assert divergence is not None
    assert (divergence.turn, divergence.position) == (0, 2)


def test_a_context_that_the_worker_held_is_found_among_others() -> None:
    assert context_divergence("o3", 0, [(1, 2), (1, 2, 3)], [(9,), (1, 2, 3), (1, 2)]) is None


def test_a_context_with_a_token_too_few_is_compared_with_the_closest_that_was_held() -> None:
    divergence = context_divergence("o3", 3, [(1, 2), (1, 2, 3, 4)], [(1, 2), (1, 2, 4), (5, 6)])
    assert divergence is not None
    assert (divergence.sequence, divergence.turn, divergence.what, divergence.position) == (3, 1, "worker's context", 2)
    assert (divergence.expected, divergence.found) == ((3, 4), (4,))


def test_a_worker_that_held_nothing_has_lost_the_first_turn() -> None:
    divergence = context_divergence("o3", 0, [(1, 2)], [])
    assert divergence is not None
    assert (divergence.turn, divergence.position, divergence.found) == (0, 0, ())
