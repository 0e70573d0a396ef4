"""The table of docs/residency.md: what is resident, what runs as an ordinary request, and that stock stays stock."""

import json
import re
from types import SimpleNamespace

import openai
import pytest

from precall.engine.support import why_input_is_ordinary, why_server_is_ordinary
from tests.precall.engine.resident_world import SECRET, TOOLS, call_text, resident_world

ENTRY = {"name": "f", "params": {"x": 1}, "output": "one"}
CALL = call_text("f", x=1)
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}

SUPPORTED = {
    "temperature": {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 1.0, "min_tokens": 1},
    "bad words": {"bad_words": ["no"], "logit_bias": {"5": 1.0}},
    "stop_token_ids": {"stop_token_ids": [7]},
    "greedy seed": {"seed": 1, "temperature": 0},
    "auto": {"tool_choice": "auto", "parallel_tool_calls": True},
}
ORDINARY = {
    "seed": {"seed": 1, "temperature": 1.0},
    "no tools": {"tools": None},
    "none": {"tool_choice": "none"},
    "required": {"tool_choice": "required"},
    "named": {"tool_choice": {"type": "function", "function": {"name": "f"}}},
    "one call": {"parallel_tool_calls": False},
    "n": {"n": 2},
    "stop strings": {"stop": ["x"]},
    "response format": {"response_format": {"type": "json_object"}},
    "structured outputs": {"structured_outputs": {"json": SCHEMA}},
    "logprobs": {"logprobs": True, "top_logprobs": 1},
    "prompt logprobs": {"prompt_logprobs": 1},
    "echo": {"echo": True},
    "no generation prompt": {"add_generation_prompt": False},
    "prompt text": {"return_prompt_text": True},
    "truncation": {"truncate_prompt_tokens": 5},
    "no reasoning": {"include_reasoning": False},
    "transfer": {"kv_transfer_params": {"a": 1}},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("body", SUPPORTED.values(), ids=SUPPORTED)
async def test_supported_requests_are_resident(tiny_folder, body, stream):
    async with resident_world(tiny_folder, [CALL, "done"]) as world:
        await world.post(ENTRY)
        assert len((await world.chat(stream=stream, **body)).executed) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_requests_that_cannot_be_resident_run_as_ordinary_ones(tiny_folder, stream):
    async with resident_world(tiny_folder, [CALL] * len(ORDINARY)) as world:
        for name, body in ORDINARY.items():
            if stream and "prompt_logprobs" in body:
                continue  # vLLM refuses it with a stream
            await world.post(ENTRY, request_id=name.replace(" ", "-"))
            answer = await world.chat_raw(stream=stream, request_id=name.replace(" ", "-"), **body)
            assert world.engine.generations, (name, answer.text)
            assert not world.engine.generations.pop().is_session, name


def config(**changes):
    model = {"is_hybrid": False, "is_encoder_decoder": False, "is_multimodal_model": False}
    model |= {"get_sliding_window": lambda: None} | {
        k: v for k, v in changes.items() if k in (*model, "get_sliding_window")
    }
    model["hf_config"] = SimpleNamespace(
        model_type=changes.get("model_type", "qwen3"), num_hidden_layers=changes.get("num_hidden_layers", 36)
    )
    parallel = {"decode_context_parallel_size": 1, "prefill_context_parallel_size": 1, "tensor_parallel_size": 1}
    parallel |= {"pipeline_parallel_size": 1}
    parallel |= {k: v for k, v in changes.items() if k in parallel}
    rest = {"speculative_config": None, "kv_transfer_config": None}
    rest |= {k: v for k, v in changes.items() if k in rest}
    return SimpleNamespace(model_config=SimpleNamespace(**model), parallel_config=SimpleNamespace(**parallel), **rest)


@pytest.mark.parametrize(
    ("changes", "parser", "why"),
    [
        ({}, "hermes", None),
        ({"tensor_parallel_size": 4}, "hermes", None),
        ({"model_type": "gpt_oss", "get_sliding_window": lambda: 128}, "openai", None),
        ({"model_type": "gpt_oss", "num_hidden_layers": 3}, "openai", "odd number of layers"),
        ({"model_type": "gpt_oss"}, "hermes", "'hermes' is not that of gpt_oss"),
        ({}, "openai", "'openai' is not that of qwen3"),
        ({}, "xlam", "tool-call parser is 'xlam'"),
        ({}, None, "tool-call parser is None"),
        ({"speculative_config": object()}, "hermes", "speculative decoding"),
        ({"kv_transfer_config": object()}, "hermes", "KV connector"),
        ({"is_hybrid": True}, "hermes", "plain decoder"),
        ({"is_encoder_decoder": True}, "hermes", "plain decoder"),
        ({"is_multimodal_model": True}, "hermes", "plain decoder"),
        ({"get_sliding_window": lambda: 128}, "hermes", "sliding-window"),
        ({"decode_context_parallel_size": 2}, "hermes", "context parallelism"),
        ({"pipeline_parallel_size": 2}, "hermes", "pipeline parallelism"),
    ],
)
def test_servers_that_cannot_be_resident(changes, parser, why):
    found = why_server_is_ordinary(SimpleNamespace(enable_auto_tools=True), config(**changes), parser, False)
    assert (found is None) if why is None else (why in found)


def test_a_server_whose_speculative_decoding_is_our_own_can_be_resident():
    with_proposer = config(speculative_config=object())
    assert why_server_is_ordinary(SimpleNamespace(enable_auto_tools=True), with_proposer, "hermes", True) is None


def test_inputs_that_cannot_be_resident():
    params = SimpleNamespace(structured_outputs=None, seed=None, temperature=1.0)
    tokens = {"type": "token", "prompt_token_ids": [1]}
    assert why_input_is_ordinary(tokens, params, None) is None
    assert "LoRA" in why_input_is_ordinary(tokens, params, object())
    assert "plain tokens" in why_input_is_ordinary({"type": "multimodal"}, params, None)


async def test_other_routes_keep_the_stock_engine_client(tiny_folder):
    async with resident_world(tiny_folder, []) as world:
        state = world.app.state
        assert state.engine_client is world.engine
        assert state.openai_serving_responses.engine_client is world.engine
        assert state.openai_serving_completion.engine_client is world.engine


@pytest.mark.parametrize(("arguments", "why"), [(("--tool-call-parser", "xlam"), "xlam")])
async def test_a_server_of_another_family_says_that_nothing_will_be_resident(tiny_folder, arguments, why):
    async with resident_world(tiny_folder, ["hello"], *arguments) as world:
        assert why in world.app.state.precall_tool_cache.residency.why_off
        await world.post(ENTRY)
        assert (await world.chat()).message["content"] == "hello"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("message.content + '\\n</tool_response>'", "message.content | trim + '\\n</tool_response>'", "changes what"),
        ("message.content + '\\n</tool_response>'", "message.content | tojson + '\\n</tool_response>'", "changes what"),
        ("'\\n<tool_response>\\n' +", "'\\n<tool_response>\\n' + message.tool_call_id +", "another tool"),
    ],
)
async def test_a_template_that_cannot_be_spliced_without_loss_switches_residency_off(
    tiny_folder, tmp_path, old, new, why
):
    template = (tiny_folder / "chat_template.jinja").read_text()
    assert old in template
    (tmp_path / "template.jinja").write_text(template.replace(old, new))
    async with resident_world(tiny_folder, [CALL], "--chat-template", str(tmp_path / "template.jinja")) as world:
        assert why in world.app.state.precall_tool_cache.residency.why_off
        await world.post(ENTRY)
        assert (await world.chat()).finish_reason == "tool_calls"


async def test_a_template_that_writes_the_last_turn_otherwise_can_be_spliced(tiny_folder, tmp_path):
    """Qwen3's puts an empty thought before the last message, and not once results follow it."""
    template, old = (tiny_folder / "chat_template.jinja").read_text(), "{%- set content = (message.content or '')"
    assert old in template
    thought = "{%- if loop.last %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}\n"
    (tmp_path / "template.jinja").write_text(template.replace(old, thought + old))
    async with resident_world(tiny_folder, [], "--chat-template", str(tmp_path / "template.jinja")) as world:
        assert world.app.state.precall_tool_cache.residency.why_off is None


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("opt_in", [False, True])
async def test_a_request_that_does_not_opt_in_or_hits_nothing_is_answered_as_on_stock_vllm(
    tiny_folder, monkeypatch, stream, opt_in
):
    turns = [f"so {CALL}", "plain words"]
    answers = []
    for plugins in ("", "precall"):
        monkeypatch.setenv("VLLM_PLUGINS", plugins)
        async with resident_world(tiny_folder, turns) as world:
            texts = [(await world.chat_raw(stream=stream, opt_in=opt_in)).text for _ in turns]
            answers.append([re.sub(r'("created":\d+|chatcmpl-tool-\w+)', "", text) for text in texts])
            assert all(
                generation.is_session == (opt_in and plugins == "precall") for generation in world.engine.generations
            )
    assert answers[0] == answers[1]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_stock_openai_client_runs_no_tool_twice(tiny_folder, stream):
    turns = [f"first {CALL}", f"then {call_text('g')}", "the answer"]
    async with resident_world(tiny_folder, turns) as world:
        await world.post(ENTRY)
        client = openai.AsyncOpenAI(api_key="none", base_url="http://server/v1", http_client=world.client())
        headers = {"X-Request-Id": "1", "X-Precall-Secret": SECRET}
        asked = {
            "model": "m",
            "messages": [{"role": "user", "content": "go"}],
            "tools": TOOLS,
            "extra_headers": headers,
        }
        ran, executed, content = [], [], ""
        for _ in range(2):
            if stream:
                calls: dict[int, str] = {}
                async for chunk in await client.chat.completions.create(**asked, stream=True):
                    executed += (chunk.model_extra or {}).get("precall", {}).get("executed_turns", [])
                    for choice in chunk.choices:
                        content += choice.delta.content or ""
                        for call in choice.delta.tool_calls or ():
                            calls[call.index] = calls.get(call.index, "") + (call.function.name or "")
                ran += calls.values()
            else:
                answer = await client.chat.completions.create(**asked)
                executed += (answer.model_extra or {}).get("precall", {}).get("executed_turns", [])
                ran += [call.function.name for call in answer.choices[0].message.tool_calls or ()]
                content += answer.choices[0].message.content or ""
            history = [message for turn in executed for message in turn["messages"]]
            asked["messages"] = [{"role": "user", "content": "go"}, *history]
        assert ran == ["g"]
        assert content == "then the answer"
        assert [call["function"]["name"] for call in executed[0]["messages"][0]["tool_calls"]] == ["f"]
        assert json.dumps(executed).count('"one"') == 1
