"""The equality rule of tool calls: what counts, what does not, and what is refused."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from precall.calls import ToolCall, canonical_key, parse_arguments
from precall.errors import MalformedCallError

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=5)


def key(arguments, parameters=None, name="f"):
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return canonical_key(ToolCall(name=name, arguments=text), parameters)


def schema(**properties):
    return {"type": "object", "properties": properties}


def shuffled(value, random):
    """Return `value` with the keys of every object in another order."""
    if isinstance(value, dict):
        items = [(name, shuffled(item, random)) for name, item in value.items()]
        random.shuffle(items)
        return dict(items)
    return [shuffled(item, random) for item in value] if isinstance(value, list) else value


@given(OBJECTS, st.randoms(), st.sampled_from([None, 0, 3, "\t"]), st.booleans())
def test_key_order_white_space_and_escapes_do_not_count(arguments, random, indent, ensure_ascii):
    written = json.dumps(shuffled(arguments, random), indent=indent, ensure_ascii=ensure_ascii)
    assert key(written) == key(arguments)
    assert key(f" \n{written}\t ") == key(arguments)


@given(OBJECTS)
def test_a_key_holds_json_that_parses_back_to_the_arguments(arguments):
    canonical = key(arguments)
    assert json.loads(canonical.arguments) == arguments
    assert key(canonical.arguments) == canonical


@given(OBJECTS, OBJECTS)
def test_equal_keys_mean_equal_values_of_equal_types(one, other):
    assert (key(one) == key(other)) == (json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True))


def test_the_name_of_the_tool_counts():
    assert key({}, name="f") != key({}, name="F")


@pytest.mark.parametrize("text", ["", "  ", "{}", " { } "])
def test_no_arguments_are_an_empty_object(text):
    assert key(text) == ("f", "{}")


NUMBER = {"type": "number"}


@pytest.mark.parametrize(
    ("one", "other", "parameters"),
    [
        ('{"x": 1.0}', '{"x": 1}', schema(x=NUMBER)),
        ('{"x": 1e2}', '{"x": 100}', schema(x=NUMBER)),
        ('{"x": -0.0}', '{"x": 0}', schema(x=NUMBER)),
        ('{"x": 1.0}', '{"x": 1}', schema(x={"type": ["null", "number"]})),
        ('{"x": 1.0}', '{"x": 1}', schema(x={"anyOf": [{"type": "string"}, NUMBER]})),
        ('{"x": 1.0}', '{"x": 1}', schema(x={"oneOf": [{"type": "null"}, {"anyOf": [NUMBER]}]})),
        ('{"x": [1.0, [2.0]]}', '{"x": [1, [2.0]]}', schema(x={"items": NUMBER})),
        ('{"x": [[1.0]]}', '{"x": [[1]]}', schema(x={"type": "array", "items": {"type": "array", "items": NUMBER}})),
        ('{"x": {"y": 1.0}}', '{"x": {"y": 1}}', schema(x=schema(y=NUMBER))),
        ('{"x": {"z": 1.0}}', '{"x": {"z": 1}}', schema(x={"type": "object", "additionalProperties": NUMBER})),
    ],
)
def test_an_integral_number_equals_the_integer_where_the_schema_says_number(one, other, parameters):
    assert key(one, parameters) == key(other, parameters)
    assert key(one) != key(other)


@pytest.mark.parametrize(
    "parameters",
    [
        None,
        {},
        schema(),
        schema(y=NUMBER),
        schema(x={}),
        schema(x={"type": "integer"}),
        schema(x={"type": ["integer", "string"]}),
        schema(x={"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        {"type": "object", "additionalProperties": True},
        {"type": "number"},
    ],
)
def test_an_integral_number_differs_from_the_integer_where_the_schema_does_not_say_number(parameters):
    assert key('{"x": 1.0}', parameters) != key('{"x": 1}', parameters)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": "a b"}, {"x": "a  b"}),
        ({"x": "a"}, {"x": "a "}),
        ({"x": "a"}, {"x": "A"}),
        ({"x": "\u00e9"}, {"x": "e\u0301"}),  # one letter, composed and decomposed
        ({"x": '{"y": 1}'}, {"x": '{"y":1}'}),
        ({"x": "1.0"}, {"x": "1"}),
        ({"x": "1"}, {"x": 1}),
        ({"x": ""}, {"x": None}),
        ({"x": None}, {}),
        ({"x": [1, 2]}, {"x": [2, 1]}),
        ({"x": [[1], [2]]}, {"x": [[2], [1]]}),
        ({"x": True}, {"x": 1}),
        ({"x": False}, {"x": 0}),
        ({"x": True}, {"x": "true"}),
        ({"x": 2**53}, {"x": 2**53 + 1}),
        ({"x": 10**30}, {"x": 10**30 + 1}),
        ({"x": 2**53 + 1}, {"x": float(2**53)}),
        ({"x": 0.1}, {"x": 0.10000000000000002}),
        ({"x": {"y": 1}}, {"y": {"x": 1}}),
    ],
)
@pytest.mark.parametrize("kind", [{}, NUMBER, {"anyOf": [NUMBER, {"items": NUMBER}]}])
def test_different_arguments_have_different_keys_whatever_the_schema_says(one, other, kind):
    assert key(one, schema(x=kind)) != key(other, schema(x=kind))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"x": 1', "not valid JSON"),
        ('{"x": 1} {}', "not valid JSON"),
        ("{'x': 1}", "not valid JSON"),
        ('{"x": "a\nb"}', "not valid JSON"),
        ('{"x": 1, "x": 2}', "names a key twice"),
        ('{"x": 1, "x": 1}', "names a key twice"),
        ('{"x": 1, "\\u0078": 1}', "names a key twice"),
        ('{"y": [{"x": 1, "x": 1}]}', "names a key twice"),
        ('{"x": NaN}', "NaN"),
        ('{"x": [Infinity]}', "Infinity"),
        ('{"x": -Infinity}', "-Infinity"),
        ('{"x": 1e999}', "1e999"),
        ('{"x": -1e999}', "-1e999"),
        ("[1]", "JSON list; they must be an object"),
        ('"x"', "JSON str; they must be an object"),
        ("1", "JSON int; they must be an object"),
        ("null", "JSON NoneType; they must be an object"),
        ('{"x": ' + "[" * 600 + "]" * 600 + "}", "nested too deep"),
        ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "recursion"),
        ('{"x": 1' + "0" * 5000 + "}", "not valid JSON"),
    ],
)
def test_malformed_arguments_are_refused_with_the_name_and_the_reason(text, reason):
    with pytest.raises(MalformedCallError, match="The arguments of f ") as caught:
        key(text)
    assert reason in str(caught.value)


@given(st.text(alphabet=string.printable, max_size=30))
def test_any_text_gives_a_key_or_a_malformed_call(text):
    try:
        canonical = key(text)
    except MalformedCallError:
        return
    assert json.loads(canonical.arguments) == parse_arguments(ToolCall(name="f", arguments=text))
