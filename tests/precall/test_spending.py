"""The cap on what a draft may cost: from then on it is not asked, and nothing else changes."""

from dataclasses import dataclass, field

import pytest

from precall.errors import ConfigError
from precall.events import EventKind, EventRecorder
from precall.ledger import Ledger
from precall.policy import LaunchPolicy
from precall.prices import TokenPrice
from precall.speculation import ClientSpeculation
from precall.spending import SpendingCap
from precall.testing.scripted import ScriptedDraft, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect, run_tool
from precall.turn import TurnRunner
from precall.usage import Usage, UsageMeter
from tests.precall.worlds import World, call, generation, sample

PRICE = TokenPrice(input_usd=1.0, output_usd=10.0)


@dataclass
class Client:
    usage: UsageMeter = field(default_factory=UsageMeter)

    def spend(self, num_prompt: int, num_output: int) -> None:
        self.usage.count(Usage(num_prompt_tokens=num_prompt, num_output_tokens=num_output))


def test_tokens_of_all_clients_are_priced_estimates_included():
    one, other = Client(), Client()
    cap = SpendingCap(1.0, PRICE, one, other)
    one.spend(100_000, 10_000)  # 0.1 + 0.1 USD
    other.spend(200_000, 0)
    assert cap.spent_usd == pytest.approx(0.4)
    other.usage.estimate(num_request_bytes=300_000, num_streamed_tokens=0)
    assert cap.spent_usd == pytest.approx(0.4 + 0.1)


def test_it_is_reached_at_its_limit_and_not_before():
    client = Client()
    cap = SpendingCap(0.5, PRICE, client)
    client.spend(499_999, 0)
    assert not cap.is_reached
    client.spend(1, 0)
    assert cap.is_reached


@pytest.mark.parametrize("limit_usd", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused_and_named(limit_usd):
    with pytest.raises(ConfigError, match=f"limit_usd is {limit_usd}; it must be > 0"):
        SpendingCap(limit_usd, PRICE, Client())


def test_a_cap_without_a_client_is_refused():
    with pytest.raises(ConfigError, match="needs the clients of the draft"):
        SpendingCap(1.0, PRICE)


class PaidDraft(ScriptedDraft):
    """Spends when it is asked, as a request does that was sent."""

    client: Client

    def predict(self, messages, tools):
        self.client.spend(0, 40_000)  # 0.4 USD
        return ScriptedDraft.predict(self, messages, tools)


def run_capped(limit_usd):
    """Run three turns, each of which calls a tool of 2 s while the target generates for 4 s."""
    events, client, world = [], Client(), World()
    calls = [call("f", x=index) for index in range(3)]
    draft = PaidDraft(turns=[[sample(1.0, each)] for each in calls])
    draft.client = client
    target = ScriptedTarget([[generation(4.0, each)] for each in calls])

    async def main():
        recorder = EventRecorder("t", events.append)
        cap = SpendingCap(limit_usd, PRICE, client)
        speculation = ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder, cap=cap)
        runner = TurnRunner(target, speculation, [world.tool("f", Effect.PURE, 2.0)], run_tool, recorder)
        messages = [{"role": "user", "content": "go"}]
        for _ in calls:
            async for _ in runner.run_response(messages):
                pass
        await speculation.aclose()
        return messages

    return run_virtual(main()), events, draft


def test_once_it_is_reached_the_draft_is_not_asked_and_the_event_says_why():
    _, events, draft = run_capped(0.5)
    assert draft.num_asked == 2  # 0.4 USD are below the cap, 0.8 above
    skipped = [event for event in events if event.kind is EventKind.DRAFT_SKIPPED]
    assert [(event.turn, event.data["reason"]) for event in skipped] == [(2, "spending cap")]
    ledger = Ledger.from_events(events)
    assert ledger.num_skipped_by_reason == {"spending cap": 1}
    assert (ledger.num_drafted_turns, ledger.num_skipped_turns) == (2, 1)


def test_what_is_under_way_when_it_is_reached_is_finished_and_used():
    _, events, _ = run_capped(0.1)  # reached by the request of the first turn
    outcomes = [event.data["outcome"] for event in events if event.kind is EventKind.CALL_SETTLED]
    assert outcomes == ["ready_hit", "miss", "miss"]


def test_the_target_is_asked_all_the_same_and_the_trajectory_is_the_same():
    capped, events, _ = run_capped(0.1)
    free, _, _ = run_capped(100.0)
    assert capped == free
    sent_s = [event.data["sent_s"] for event in events if event.kind is EventKind.GENERATION_FINISHED]
    assert sent_s == [0.0, 4.0, 10.0]  # each at once after the turn before it, which waited for its own tool
