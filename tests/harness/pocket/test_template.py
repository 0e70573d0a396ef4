"""The chat template in vLLM's whole API server: a turn that comes back in the history has the tokens it was made of."""

import itertools
import json
from typing import Any

import pytest

from harness.pocket.world import PocketTask, draw_tasks, messages_of, tools_of
from tests.harness.pocket import tiny
from tests.precall.engine.resident_world import Reply, ResidentWorld, resident_world

CHAINED = [task for task in draw_tasks(60, seed=0, split="held_out") if len(task.turns) > 2][:4]
OTHERS = [task for task in draw_tasks(40, seed=1, split="held_out") if len(task.turns) <= 2][:4]
PARALLEL = [task for task in draw_tasks(200, seed=2, split="held_out") if task.kind == "parallel"][:2]
TASKS = [*CHAINED, *OTHERS, *PARALLEL]


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_PLUGINS", "precall")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory):
    return tiny.exported(tmp_path_factory.mktemp("models") / "target")


def turns_of(task: PocketTask) -> list[str]:
    """What the target writes in each turn, but for the end."""
    (conversation,) = tiny.encoder().encode([task])
    learnt = [label for label in conversation.labels if label >= 0]
    text = tiny.tokenizer().decode(learnt, skip_special_tokens=False)
    return text.split("<|im_end|>")[:-1]


def message_of(reply: Reply) -> dict[str, Any]:
    """The assistant message that a client puts into the history, as precall's does."""
    deltas = [choice["delta"] for event in reply.events for choice in event["choices"]]
    reasoning = "".join(delta.get("reasoning") or "" for delta in deltas) or reply.message.get("reasoning")
    message = {"role": "assistant", "content": reply.message["content"] or None, "reasoning": reasoning}
    if reply.message["tool_calls"]:
        message["tool_calls"] = [
            {"id": f"call_{index}", "type": "function", "function": call["function"]}
            for index, call in enumerate(reply.message["tool_calls"])
        ]
    return message


async def converse(world: ResidentWorld, task: PocketTask, stream: bool) -> list[list[int]]:
    """Ask for each turn of a task with the history of those before; return what the engine saw and wrote, per turn."""
    messages = [dict(message) for message in task.task.user_turns[0]]
    seen = []
    for turn, text in zip(task.turns, turns_of(task), strict=True):
        reply = await world.chat(messages=messages, tools=tools_of(task), stream=stream, opt_in=False)
        (context,) = world.engine.generations[-1].contexts
        seen.append([*context, *world.encode(f"{text}<|im_end|>")])
        messages.append(message_of(reply))
        messages += [{"role": "tool", "tool_call_id": "c", "content": each} for each in turn.observations]
    return seen


@pytest.mark.parametrize("stream", [False, True])
async def test_the_prompt_of_a_turn_begins_with_the_very_tokens_of_the_turn_before(target, stream):
    script = [text for task in TASKS for text in turns_of(task)]
    async with resident_world(target, script, "--reasoning-parser", "qwen3") as world:
        for task in TASKS:
            seen = await converse(world, task, stream)
            for before, after in itertools.pairwise(seen):
                assert after[: len(before)] == before
            (conversation,) = tiny.encoder().encode([task])
            assert [*seen[-1], *world.encode("\n")] == conversation.token_ids


@pytest.mark.parametrize("thought", ["<think>\n\n why  \n\n</think>\n\n", "<think>\n</think>\n\n", ""])
async def test_a_thought_comes_back_as_it_was_written(target, thought):
    call = '<tool_call>\n{"name": "f", "arguments": {"x": "1", "y": 2}}\n</tool_call>'
    async with resident_world(target, [thought + call, "so"], "--reasoning-parser", "qwen3") as world:
        user = {"role": "user", "content": "go"}
        reply = await world.chat(opt_in=False, stream=True)
        history = [user, message_of(reply), {"role": "tool", "tool_call_id": "call_0", "content": "one"}]
        await world.chat(messages=history, opt_in=False, stream=True)
        before, after = (generation.contexts[0] for generation in world.engine.generations)
        written = [*before, *world.encode(f"{thought}{call}<|im_end|>")]
        assert after[: len(written)] == written


async def test_a_resident_sequence_sees_what_separate_requests_see(target):
    (task, *_) = CHAINED
    async with resident_world(target, turns_of(task) * 2, "--reasoning-parser", "qwen3") as world:
        assert world.app.state.precall_tool_cache.residency.why_off is None, "the engine side accepts the template"
        separate = await converse(world, task, stream=False)
        for call, observation in [
            (call, text) for turn in task.turns for call, text in zip(turn.calls, turn.observations, strict=True)
        ]:
            entry = {"name": call.name, "params": json.loads(call.arguments), "output": observation}
            await world.post(entry, request_id="resident")
        await world.chat(messages=list(task.task.user_turns[0]), tools=tools_of(task), request_id="resident")
        resident = world.engine.generations[-1]
        assert resident.is_session
        ends = [world.encode(f"{text}<|im_end|>") for text in turns_of(task)]
        assert [[*context, *end] for context, end in zip(resident.contexts, ends, strict=True)] == separate


async def test_a_draft_sees_what_the_target_called_and_not_why(tmp_path):
    (task, *_) = CHAINED
    draft = tiny.exported(tmp_path / "draft", tiny.DRAFT)
    async with resident_world(draft, ["no"]) as world:
        messages = messages_of(task)[:-1]
        await world.chat(messages=messages, tools=tools_of(task), opt_in=False)
        (context,) = world.engine.generations[0].contexts
        (conversation,) = tiny.encoder(tiny.DRAFT).encode([task])
        assert conversation.token_ids[: len(context)] == context
        assert "<think>" not in world.engine.renderer.tokenizer.decode(context)
