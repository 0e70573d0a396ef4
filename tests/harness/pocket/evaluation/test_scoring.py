"""Turns are scored by hand-made cases, and a draft's calls as the library's own ledger counts them."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.function_calling import FunctionCallingAgent
from harness.pocket.evaluation.scoring import fault_of, matches
from precall.calls import ToolCall
from precall.events import Event, EventRecorder
from precall.ledger import Ledger
from precall.policy import LaunchPolicy
from precall.speculation import ClientSpeculation
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import run_tool
from tests.harness.pocket.evaluation.turns import (
    FORECAST,
    MALFORMED,
    OSLO,
    ROME,
    TOOLS,
    UNKNOWN,
    answering,
    calling,
    task_of,
)

CONVERT = ToolCall(name="convert", arguments='{"amount": 3, "unit": "miles", "into": "yards"}')


@pytest.mark.parametrize(
    ("due", "made", "content", "fault"),
    [
        ([OSLO], [OSLO], "", None),
        ([OSLO], [ToolCall(name="weather_now", arguments='{ "city":"Oslo" }')], "", None),
        ([CONVERT], [ToolCall(name="convert", arguments='{"into": "yards", "unit": "miles", "amount": 3}')], "", None),
        ([CONVERT], [ToolCall(name="convert", arguments='{"amount": "3", "unit": "miles", "into": "yards"}')], "",
         "wrong_argument"),
        ([OSLO], [ROME], "", "wrong_argument"),
        ([OSLO], [FORECAST], "", "wrong_tool"),
        ([OSLO], [UNKNOWN], "", "wrong_tool"),
        ([OSLO], [MALFORMED], "", "malformed"),
        ([OSLO], [], '<tool_call>\n{"name": "weather_now", "arg', "malformed"),
        ([OSLO], [], "It is sunny.", "no_call"),
        ([OSLO], [OSLO, ROME], "", "wrong_number"),
        ([OSLO, ROME], [OSLO], "", "wrong_number"),
        ([OSLO, ROME], [OSLO], '<tool_call>\n{"name', "malformed"),
        ([OSLO, ROME], [ROME, OSLO], "", "wrong_argument"),
        ([OSLO, ROME], [OSLO, ROME], "", None),
        ([OSLO, ROME], [OSLO, FORECAST], "", "wrong_tool"),
    ],
)  # fmt: skip
def test_calls_are_right_when_their_keys_are_those_due_in_their_order(
    due: Sequence[ToolCall], made: Sequence[ToolCall], content: str, fault: str | None
):
    assert fault_of(calling(*due), made, content, TOOLS) == fault


@pytest.mark.parametrize(
    ("made", "content", "fault"),
    [
        ([], "It is sunny.", None),
        ([], "\n\nIt is sunny.\n", None),
        ([], "It is sunny", "wrong_answer"),
        ([], "", "wrong_answer"),
        ([OSLO], "It is sunny.", "needless_call"),
        ([], "It is sunny. <tool_call>", "wrong_answer"),
    ],
)
def test_an_answer_is_right_when_its_text_is_and_no_call_is_made(
    made: Sequence[ToolCall], content: str, fault: str | None
):
    assert fault_of(answering("It is sunny."), made, content, TOOLS) == fault


def test_a_call_is_matched_by_any_of_the_samples():
    assert matches([OSLO], [[ROME], [FORECAST, OSLO]], TOOLS) == [True]
    assert matches([OSLO, ROME], [[ROME], [FORECAST]], TOOLS) == [False, True]
    assert matches([OSLO], [], TOOLS) == [False]


def test_one_prediction_serves_two_identical_calls_of_a_turn():
    assert matches([OSLO, OSLO, ROME], [[OSLO]], TOOLS) == [True, True, False]


def test_a_call_that_no_tool_can_run_counts_and_is_never_predicted():
    assert matches([UNKNOWN, MALFORMED, OSLO], [[UNKNOWN, MALFORMED, OSLO]], TOOLS) == [False, False, True]


CALLS = st.lists(st.sampled_from([OSLO, ROME, FORECAST, UNKNOWN, MALFORMED]), max_size=3)


@settings(max_examples=50, deadline=None)
@given(calls=CALLS.filter(bool), samples=st.lists(CALLS, max_size=3))
def test_matches_are_those_that_the_library_counts_in_a_trajectory(
    calls: list[ToolCall], samples: list[list[ToolCall]]
):
    """The draft answers before the target, as it is asked to here."""
    events: list[Event] = []

    async def run() -> None:
        recorder = EventRecorder("t", events.append)
        draft = ScriptedDraft(turns=[[ScriptedSample(delay_s=0.1, calls=tuple(sample)) for sample in samples]])
        await FunctionCallingAgent().run(
            task_of().task,
            target=ScriptedTarget(
                [
                    [ScriptedGeneration(duration_s=1.0, calls=tuple(calls))],
                    [ScriptedGeneration(duration_s=1.0, content="Done.")],
                ]
            ),
            speculation=ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder),
            executor=run_tool,
            recorder=recorder,
        )

    run_virtual(run())
    ledger = Ledger.from_events(events)
    found = matches(calls, samples, TOOLS)
    assert (ledger.num_matched, ledger.num_confirmed) == (sum(found), len(found))
