"""What is not resident is answered as by stock vLLM: same tokens, same events, whatever has been posted for it.

Every answer is compared with that of a server of vLLM's own module with the same weights.
"""

import json
import re

import pytest

from tests.integration.engine.conformance.place import CALL, ENTRY, KEY, SECRET, new_id

pytestmark = [pytest.mark.engine, pytest.mark.conformance]

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
NAMED = {"type": "function", "function": {"name": "f"}}
SYSTEM = {"role": "system", "content": "be brief"}
ORDINARY = {
    "seed": {"seed": 1, "temperature": 1.0},
    "no tools": {"tools": None},
    "tool_choice none": {"tool_choice": "none"},
    "one call": {"parallel_tool_calls": False, "tool_choice": "auto"},
    "n": {"n": 2, "temperature": 1.0},
    "stop strings": {"stop": ["tool_"]},
    "stop string that does not come": {"stop": "zzzz"},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "prompt logprobs": {"prompt_logprobs": 1},
    "echo": {"echo": True},
    "continued message": {
        "messages": [{"role": "user", "content": "go"}, {"role": "assistant", "content": "well"}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    },
    "no generation prompt": {"add_generation_prompt": False},
    "prompt text": {"return_prompt_text": True},
    "truncation": {"truncate_prompt_tokens": 20},
    "no reasoning": {"include_reasoning": False},
    "transfer": {"kv_transfer_params": {"a": 1}},
}
# The engine refuses forced tokens that leave a grammar, so these generate freely. What they generate is no call of f.
FREE = {
    "tool_choice required": {"tool_choice": "required"},
    "tool_choice named": {"tool_choice": NAMED},
    "response_format": {"response_format": {"type": "json_object"}},
    "JSON schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}}},
    "structured outputs": {"structured_outputs": {"choice": ["yes", "no"]}},
    "beam search": {"use_beam_search": True, "n": 2, "length_penalty": 1.0},
}
STOCK = {
    "a call": {},
    "words": {"vllm_xargs": None, "max_tokens": 30},
    "a conversation": {"messages": [SYSTEM, {"role": "user", "content": "go"}], "vllm_xargs": None, "max_tokens": 9},
    "no usage": {"stream_options": None},
    "a refusal": {"temperature": -1},
    "too long": {"messages": [{"role": "user", "content": "go " * 2000}]},
}


def without_chance(value):
    """The answer without ids and times, with numbers rounded."""
    if isinstance(value, dict):
        random = ("id", "created", "system_fingerprint")
        return {name: without_chance(item) for name, item in value.items() if name not in random}
    if isinstance(value, list):
        return [without_chance(item) for item in value]
    return round(value, 3) if isinstance(value, float) else value


def comparable(answer):
    """Status and content of an answer; of a stream, what its events add up to, and the order of their kinds.

    Where one event ends and the next begins is chance: a server that is slow for a moment puts two tokens into one.
    The events themselves are compared byte by byte in tests/precall/engine/test_support.py.
    """
    text = re.sub(r"chatcmpl-(?!tool)[\w-]+", "ID", answer.text)
    if not text.startswith("data: "):
        return answer.status_code, without_chance(json.loads(text))
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    kinds, total = [], {}
    for event in map(without_chance, map(json.loads, lines[:-1])):
        kind = sorted({*event, *(name for choice in event.get("choices", []) for name in _kind(choice))})
        if kinds[-1:] != [kind]:
            kinds.append(kind)
        _add(total, event)
    return answer.status_code, kinds, total


def _kind(choice):
    yield from choice["delta"]
    if choice["finish_reason"] is None:
        yield "unfinished"


def _add(total, event):
    """Add an event to a total: texts and lists of tokens grow, the parts of a choice or call by their index."""
    for name, value in event.items():
        if value in (None, []):
            continue
        if isinstance(value, dict):
            _add(total.setdefault(name, {}), value)
        elif isinstance(value, list) and isinstance(value[0], dict) and "index" in value[0]:
            for part in value:
                _add(total.setdefault(name, {}).setdefault(part["index"], {}), part)
        elif (name in ("content", "arguments") and isinstance(value, str)) or isinstance(value, list):
            total[name] = (total.get(name) or type(value)()) + value
        else:
            total[name] = value


async def both(several_users, stock, stream, secret, *, is_forced=True, request_id=None, **body):
    sent = {"opt_in": False, "stream": stream} | ({} if is_forced else {"vllm_xargs": None, "max_tokens": 24}) | body
    ours = await several_users.chat_raw([CALL], request_id=request_id, secret=secret, **sent)
    return ours, await stock.chat_raw([CALL], request_id=request_id, secret=None, **sent)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", [*ORDINARY, *FREE])
async def test_a_request_that_cannot_be_resident_is_answered_as_by_stock_vllm(several_users, stock, name, stream):
    request_id = new_id()
    await several_users.post(request_id, [ENTRY])
    body, is_forced = (ORDINARY | FREE)[name], name in ORDINARY
    ours, theirs = await both(several_users, stock, stream, SECRET, is_forced=is_forced, request_id=request_id, **body)
    assert "executed_turns" not in ours.text
    if "n" in body and stream:  # choices come in any order, and sample
        assert ours.status_code == theirs.status_code
    else:
        assert comparable(ours) == comparable(theirs)
    await several_users.check_idle()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("secret", [None, SECRET], ids=["not opted in", "nothing posted"])
@pytest.mark.parametrize("body", STOCK.values(), ids=STOCK)
async def test_a_request_that_does_not_opt_in_or_hits_nothing_is_answered_as_by_stock_vllm(
    several_users, stock, body, secret, stream
):
    request_id = new_id()
    if secret is None:
        await several_users.post(request_id, [ENTRY])
    ours, theirs = await both(several_users, stock, stream, secret, request_id=request_id, **body)
    assert comparable(ours) == comparable(theirs)


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("completions", {"prompt": "go", "max_tokens": 12, "temperature": 0}),
        ("responses", {"input": "go", "max_output_tokens": 12, "temperature": 0, "store": False}),
    ],
)
async def test_other_routes_answer_as_those_of_stock_vllm(several_users, stock, route, body):
    answers = []
    for place in (several_users, stock):
        headers = {"Authorization": f"Bearer {KEY}", "X-Precall-Secret": SECRET}
        answer = await place.client.post(f"{place.root}/v1/{route}", json={"model": "m"} | body, headers=headers)
        assert answer.status_code == 200, answer.text
        answers.append(json.loads(re.sub(r'"(\w+_at|id)":\s*("[^"]*"|\d+)', r'"\1": 0', answer.text)))
    assert without_chance(answers[0]) == without_chance(answers[1])
