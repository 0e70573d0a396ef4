"""The pattern draft: what it learns from trajectories, what it predicts, and what bounds it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precall.drafts.history import read_history
from precall.drafts.pattern import PatternDraft
from precall.drafts.pattern_memory import MAX_COUNT, PatternMemory
from precall.errors import ConfigError
from precall.testing.scripted import ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Effect
from tests.precall.worlds import Run, World, call, generation, run_trajectory


def messages_of(user, *turns, answer="done"):
    """Return a history: a user's message, then turns of (call, observation) each, then an answer."""
    messages = [{"role": "user", "content": user}]
    for number, (asked, observation) in enumerate(turns):
        function = {"name": asked.name, "arguments": asked.arguments}
        entry = {"id": f"c{number}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": None, "tool_calls": [entry]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": observation})
    return [*messages, {"role": "assistant", "content": answer}] if answer else messages


def trip(city, booking):
    """A task that always goes alike: find what the user names, book the first hit, confirm the booking."""
    return messages_of(
        f"A room in {city}, please",
        (call("find", city=city), json.dumps({"hits": [{"id": booking * 10}, {"id": 3}]})),
        (call("book", hit=booking * 10, nights=2), f"Your booking is B{booking}."),
        (call("confirm", booking=f"B{booking}"), "ok"),
    )


TOOLS = [World().tool(name, Effect.PURE, 1.0) for name in ("find", "book", "confirm", "page", "a", "b")]


def predicted(memory, messages, **settings):
    async def main():
        draft = PatternDraft(memory, **{"is_learning": False} | settings)
        return [prediction async for prediction in draft.predict(messages, TOOLS)]

    (prediction,) = run_virtual(main())
    return [(each.name, json.loads(each.arguments)) for each in prediction.calls]


def learned(*trajectories):
    memory = PatternMemory()
    for messages in trajectories:
        memory.learn(messages)
    return memory


def test_a_recurring_sequence_is_predicted_with_its_arguments_on_a_task_never_seen():
    memory = learned(trip("Rome", 1), trip("Oslo", 2), trip("Bern", 3))
    new = trip("Lima", 7)
    assert predicted(memory, new[:1]) == [("find", {"city": "Lima"})]
    assert predicted(memory, new[:3]) == [("book", {"hit": 70, "nights": 2})]
    assert predicted(memory, new[:5]) == [("confirm", {"booking": "B7"})]
    assert predicted(memory, new[:7]) == []  # an answer followed each time


def test_the_next_page_is_predicted():
    pages = [(call("page", number=number), "...") for number in range(1, 6)]
    memory = learned(messages_of("read", *pages))
    assert predicted(memory, messages_of("read on", (call("page", number=41), "..."), answer="")) == [
        ("page", {"number": 42})
    ]


def test_too_little_support_predicts_nothing_and_the_answers_after_a_context_lower_its_confidence():
    short = messages_of("go", (call("a"), "x"))
    long = messages_of("go", (call("a"), "x"), (call("b"), "y"))
    history = messages_of("go", (call("a"), "x"), answer="")
    assert predicted(learned(long, long), history) == []
    assert predicted(learned(long, long), history, min_support=2) == [("b", {})]
    memory = learned(long, short, short, short)
    assert predicted(memory, history, min_confidence=0.25) == [("b", {})]
    assert predicted(memory, history, min_confidence=0.26) == []


def test_up_to_num_calls_are_predicted_the_most_probable_first():
    visits = [messages_of("go", (call("a", x=x), "-")) for x in (1, 1, 1, 2, 2, 3)]
    memory = learned(*visits)
    calls = [("a", {"x": x}) for x in (1, 2, 3)]
    for num_calls in (1, 2, 3):
        assert predicted(memory, visits[0][:1], num_calls=num_calls, min_confidence=0.1) == calls[:num_calls]
    assert predicted(memory, visits[0][:1], num_calls=3, min_confidence=0.3) == calls[:2]


def test_the_longest_context_that_is_known_decides():
    after_a = [messages_of("go", (call("a"), "-"), (call("page", number=1), "-"), (call("a"), "-"))] * 3
    after_b = [messages_of("go", (call("b"), "-"), (call("page", number=1), "-"), (call("b"), "-"))] * 9
    memory = learned(*after_a, *after_b)
    history = messages_of("go", (call("a"), "-"), (call("page", number=1), "-"), answer="")
    assert predicted(memory, history, num_calls=9, min_confidence=0.01) == [("a", {})]


def test_a_tool_that_the_trajectory_does_not_have_is_not_predicted():
    memory = learned(*[messages_of("go", (call("gone"), "-"))] * 5)
    assert predicted(memory, messages_of("go", answer="")) == []


def test_it_learns_while_it_runs_from_trajectory_to_trajectory():
    memory, outcomes = PatternMemory(), []
    for number in range(6):
        world = World()
        tools = [
            world.tool("find", Effect.PURE, 2.0, lambda number=number: {"id": 100 + number}),
            world.tool("book", Effect.READ, 2.0),
        ]
        turns = [generation(4.0, call("find")), generation(4.0, call("book", hit=100 + number)), generation(4.0)]

        async def main(tools=tools, turns=turns):
            run = Run()
            draft = PatternDraft(memory)
            await run_trajectory(run, ScriptedTarget([[turn] for turn in turns]), tools, 3, draft)
            return run

        outcomes.append(run_virtual(main()).outcomes)
    # The turn that is about to follow counts as seen: three turns are behind the third prediction, two of them known.
    assert outcomes == [["miss", "miss"]] * 2 + [["ready_hit", "ready_hit"]] * 4


def test_learning_while_running_and_learning_afterwards_come_to_the_same(tmp_path):
    trajectories = [trip("Rome", 1), trip("Oslo", 2), messages_of("go", (call("a"), "-"), (call("b"), "-"))]

    async def main(memory):
        for messages in trajectories:
            draft = PatternDraft(memory)
            for place, message in enumerate(messages):
                if message["role"] == "assistant" and place != 3:  # one turn is not asked about
                    async for _ in draft.predict(messages[:place], TOOLS):
                        pass

    online, afterwards = PatternMemory(), learned(*trajectories)
    run_virtual(main(online))
    for name, memory in (("online", online), ("afterwards", afterwards)):
        memory.save(tmp_path / name)
    contexts = [sorted(json.loads((tmp_path / name).read_text())["contexts"]) for name in ("online", "afterwards")]
    assert contexts[0] == contexts[1]


def test_what_was_learned_is_saved_and_loaded(tmp_path):
    memory = learned(trip("Rome", 1), trip("Oslo", 2), trip("Bern", 3))
    memory.save(tmp_path / "patterns.json")
    loaded = PatternMemory.load(tmp_path / "patterns.json")
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "patterns.json").read_text()
    assert predicted(loaded, trip("Lima", 7)[:3]) == predicted(memory, trip("Lima", 7)[:3]) != []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "precall-patterns", "version": 1, "contexts": [[1, 2]]}'])
def test_a_file_that_holds_no_patterns_is_refused_by_name(tmp_path, text):
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(ConfigError, match=r"p\.json cannot be read"):
        PatternMemory.load(tmp_path / "p.json")


def test_the_memory_is_bounded_and_forgets_what_it_has_not_seen_for_longest():
    memory = PatternMemory(max_contexts=4)
    for number in range(50):
        memory.learn(messages_of("go", (call(f"tool {number}", x=number), "-"), (call("a"), "-")))
        assert len(memory) <= 4
    assert predicted(memory, messages_of("go", (call("tool 0", x=0), "-"), answer=""), min_support=1) == []


def test_a_pattern_that_changes_is_followed():
    memory = learned(*[messages_of("go", (call("a"), "-"))] * (2 * MAX_COUNT))
    for _ in range(MAX_COUNT):
        memory.learn(messages_of("go", (call("b"), "-")))
    assert predicted(memory, messages_of("go", answer="")) == [("b", {})]


CALLS = st.builds(call, st.sampled_from("ab"), x=st.integers(0, 2))
TRAJECTORIES = st.lists(st.lists(st.tuples(CALLS, st.sampled_from(["-", '{"x": 1}', "id 2"])), max_size=4), max_size=8)


@given(TRAJECTORIES, st.integers(1, 3))
def test_confidences_are_shares_and_the_same_every_time(trajectories, min_support):
    memory, other = PatternMemory(), PatternMemory()
    for turns in trajectories:
        memory.learn(messages_of("go", *turns))
        other.learn(messages_of("go", *turns))
    for turns in [[], *trajectories]:
        steps = read_history(messages_of("go", *turns, answer="")).steps
        found = memory.candidates(steps, min_support=min_support)
        assert found == other.candidates(steps, min_support=min_support)
        assert [c.confidence for c in found] == sorted((c.confidence for c in found), reverse=True)
        assert all(0.0 < c.confidence <= 1.0 and c.support >= min_support for c in found)
        assert len({(c.call.name, c.call.arguments) for c in found}) == len(found)


@pytest.mark.parametrize("settings", [{"num_calls": 0}, {"min_confidence": 0.0}, {"min_support": 0}])
def test_settings_outside_their_rules_are_refused_and_named(settings):
    with pytest.raises(ConfigError, match=f"{next(iter(settings))} is 0"):
        PatternDraft(PatternMemory(), **settings)
    with pytest.raises(ConfigError, match="max_contexts is 0"):
        PatternMemory(0)
