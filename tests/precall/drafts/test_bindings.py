"""Where the value of an argument can be found, and what a binding has behind another history."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precall.drafts.bindings import MAX_WHERE, Binding, Kind, as_json, explain, resolve
from precall.drafts.history import USER, Step, read_history


def user(text):
    return Step(symbol=USER, text=text)


def called(text="", **arguments):
    return Step(symbol="f", text=text, arguments=arguments)


@pytest.mark.parametrize(
    ("value", "step", "binding"),
    [
        ("Rome", called(city="Rome"), Binding(Kind.ARGUMENT, 1, "city")),
        (3, called(page=2), Binding(Kind.NEXT, 1, "page")),
        (7, called('{"hits": [{"id": 7}]}'), Binding(Kind.JSON, 1, '["hits", 0, "id"]')),
        (["a"], called('{"tags": ["a"]}'), Binding(Kind.JSON, 1, '["tags"]')),
        ("A-12", called("Booked flight A-12."), Binding(Kind.LABEL, 1, "flight")),
        ("a.txt", called("a.txt b.txt"), Binding(Kind.WORD, 1, "0")),
        (42, called("ticket: 42 (open)"), Binding(Kind.LABEL, 1, "ticket", True)),
        ("Rome", user("Fly to Rome, please"), Binding(Kind.LABEL, 0, "to")),
        ("New York", user('the weather in "New York"'), Binding(Kind.LABEL, 0, "in")),
        (None, called(), Binding(Kind.CONSTANT, 0, "null")),
    ],
)
def test_a_value_is_explained_and_its_explanation_gives_it_back(value, step, binding):
    steps = [called("before", x=1), step]
    explained = explain(value, steps)
    assert explained[0] == binding
    assert explained[-1] == Binding(Kind.CONSTANT, 0, json.dumps(value))
    for each in explained:
        assert resolve(each, steps) == value


def test_a_binding_has_another_value_behind_another_history():
    assert resolve(Binding(Kind.LABEL, 0, "to"), [user("I must go to Oslo"), called()]) == "Oslo"
    assert resolve(Binding(Kind.JSON, 2, '["id"]'), [called('{"id": 9}'), called()]) == 9


@pytest.mark.parametrize(
    "binding",
    [
        Binding(Kind.ARGUMENT, 1, "other"),
        Binding(Kind.ARGUMENT, 3, "x"),
        Binding(Kind.NEXT, 1, "x"),
        Binding(Kind.JSON, 1, '["id"]'),
        Binding(Kind.LABEL, 1, "id"),
        Binding(Kind.LABEL, 1, "three"),
        Binding(Kind.WORD, 1, "7"),
        Binding(Kind.WORD, 1, "0", True),
        Binding(Kind.LABEL, 0, "to"),
    ],
)
def test_a_binding_that_finds_nothing_says_so(binding):
    with pytest.raises(LookupError):
        resolve(binding, [called("one two three", x="text")])


def test_a_label_that_came_before_with_another_word_behind_it_does_not_explain():
    kinds = [each.kind for each in explain("b", [called("id a id b")])]
    assert kinds == [Kind.WORD, Kind.CONSTANT]


def test_one_is_not_true_and_a_number_is_not_its_text():
    assert [each.kind for each in explain(True, [called(x=1, y=0)])] == [Kind.CONSTANT]
    assert [each.kind for each in explain("1", [called(x=1)])] == [Kind.CONSTANT]


def test_a_value_too_long_to_recur_is_no_constant():
    assert explain("x" * MAX_WHERE, []) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=3), values, max_size=3),
)
STEPS = st.lists(
    st.builds(user, st.text(max_size=30))
    | st.builds(
        Step,
        symbol=st.just("f"),
        text=st.text(max_size=30) | JSON.map(json.dumps),
        arguments=st.dictionaries(st.text(max_size=3), JSON, max_size=3),
    ),
    max_size=5,
)


@given(JSON, STEPS)
def test_every_explanation_of_any_value_gives_the_value_back(value, steps):
    for binding in explain(value, steps):
        assert as_json(resolve(binding, steps)) == as_json(value)


def test_a_history_is_read_as_steps_and_turns():
    def assistant(*calls):
        entries = [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call_id, name, arguments in calls
        ]
        return {"role": "assistant", "content": None, "tool_calls": entries}

    history = read_history(
        [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": [{"type": "text", "text": "go"}, {"type": "image_url"}]},
            assistant(("1", "f", '{"x": 1}'), ("2", "g", "{")),
            {"role": "tool", "tool_call_id": "2", "content": "two"},
            {"role": "tool", "tool_call_id": "1", "content": "one"},
            assistant(("", "h", ""), ("", "h", "")),
            {"role": "tool", "content": "first"},
            {"role": "tool", "content": "second"},
            {"role": "assistant", "content": "done"},
            {"role": "tool", "tool_call_id": "9", "content": "stray"},
        ]
    )
    assert history.steps == (
        user("go"),
        called("one", x=1),
        Step(symbol="g", text="two"),
        Step(symbol="h", text="first"),
        Step(symbol="h", text="second"),
    )
    assert [(turn.num_steps_before, len(turn.calls)) for turn in history.turns] == [(1, 2), (3, 2), (5, 0)]
