"""What `lossless` reports: figures over all arms, and where a chat template renders a turn otherwise than it was."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.engine_checks.comparison import Divergence, Trace, common_length

_NUM_PLACES = 3
_NUM_TOKENS_BEFORE = 8
_NUM_TOKENS_AFTER = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One arm's run: per sequence where it diverges, if it does. `accepted_draft_tokens` None: nothing was drafted."""

    arm: str
    divergences: Sequence[Divergence | None]
    spliced_turns: int
    accepted_draft_tokens: int | None


def figures_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return the figures over all arms; a sequence is identical if it is so in every arm."""
    by_sequence = list(zip(*(outcome.divergences for outcome in outcomes), strict=True))
    accepted = [outcome.accepted_draft_tokens for outcome in outcomes if outcome.accepted_draft_tokens is not None]
    first = next((found for outcome in outcomes for found in outcome.divergences if found is not None), None)
    return {
        "target": "lossless",
        "sequences": len(by_sequence),
        "identical": sum(not any(found) for found in by_sequence),
        "spliced_turns": sum(outcome.spliced_turns for outcome in outcomes),
        "accepted_draft_tokens": sum(accepted) if accepted else None,
        "first_divergence": None if first is None else first.to_json(),
        "identical_by_arm": {outcome.arm: list(outcome.divergences).count(None) for outcome in outcomes},
    }


def template_report(
    exact: Sequence[Trace], rendered: Sequence[Trace], text: Callable[[list[int]], str]
) -> dict[str, Any]:
    """Say how many prompts of a client that renders the chat anew differ from the token-exact ones, and show the first
    place of the first sequences. `text` turns tokens to text."""
    num_prompts, num_divergent, places = 0, 0, []
    for sequence, (one, other) in enumerate(zip(exact, rendered, strict=True)):
        pairs = [(first.prompt, second.prompt) for first, second in zip(one, other, strict=False)]
        divergent = [turn for turn, (first, second) in enumerate(pairs) if first != second]
        num_prompts += len(pairs)
        num_divergent += len(divergent)
        if divergent:
            position = common_length(*pairs[divergent[0]])
            start = max(0, position - _NUM_TOKENS_BEFORE)
            shown = [text(list(prompt[start : position + _NUM_TOKENS_AFTER])) for prompt in pairs[divergent[0]]]
            place = {"sequence": sequence, "turn": divergent[0], "position": position}
            places.append(place | {"token_exact": shown[0], "rendered_anew": shown[1]})
    return {"prompts": num_prompts, "divergent_prompts": num_divergent, "first_places": places[:_NUM_PLACES]}
