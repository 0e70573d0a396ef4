"""The figures of `make lossless`, over arms and sequences."""

from harness.engine_checks.comparison import Divergence, TracedTurn
from harness.engine_checks.report import Outcome, figures_of, template_report

DIVERGENCE = Divergence(
    arm="o3_o2", sequence=1, turn=2, what="generated", position=3, expected=(4,), found=(5,)
)  # fmt: skip


def outcome(arm: str, *divergences: Divergence | None, accepted: int | None = None) -> Outcome:
    return Outcome(arm=arm, divergences=divergences, spliced_turns=10, accepted_draft_tokens=accepted)


def test_without_a_divergence_all_sequences_are_identical() -> None:
    figures = figures_of([outcome("o3", None, None, None)])
    assert (figures["sequences"], figures["identical"], figures["first_divergence"]) == (3, 3, None)


def test_a_sequence_that_diverges_in_one_arm_is_not_identical() -> None:
    figures = figures_of([outcome("o3", None, None, None), outcome("o3_o2", None, DIVERGENCE, None)])
    assert (figures["sequences"], figures["identical"]) == (3, 2)
    assert figures["identical_by_arm"] == {"o3": 3, "o3_o2": 2}
    assert figures["first_divergence"] == {
        "arm": "o3_o2", "sequence": 1, "turn": 2, "what": "generated", "position": 3, "expected": (4,), "found": (5,),
    }  # fmt: skip


def test_spliced_turns_and_accepted_tokens_are_summed_and_what_was_not_drafted_is_not_zero() -> None:
    assert figures_of([outcome("o3", None)])["accepted_draft_tokens"] is None
    figures = figures_of([outcome("o3", None), outcome("o2", None, accepted=7), outcome("o3_o2", None, accepted=0)])
    assert (figures["spliced_turns"], figures["accepted_draft_tokens"]) == (30, 7)


def test_the_report_counts_prompts_that_differ_and_shows_the_first_place_of_a_sequence() -> None:
    exact = [tuple(TracedTurn(prompt=tuple(range(30 + 10 * turn)), generated=()) for turn in range(3))]
    changed = [TracedTurn(prompt=(*turn.prompt[:33], 99, *turn.prompt[34:]), generated=()) for turn in exact[0][1:]]
    report = template_report(exact, [(exact[0][0], *changed)], lambda token_ids: "/".join(map(str, token_ids)))
    assert (report["prompts"], report["divergent_prompts"]) == (3, 2)
    [place] = report["first_places"]
    assert (place["sequence"], place["turn"], place["position"]) == (0, 1, 33)
    assert place["token_exact"] == "25/26/27/28/29/30/31/32/33/34/35/36/37/38/39"
    assert place["rendered_anew"] == "25/26/27/28/29/30/31/32/99/34/35/36/37/38/39"
