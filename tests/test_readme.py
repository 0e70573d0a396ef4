"""The library examples of the README, taken from the page and run against a scripted target and draft."""

import re
from pathlib import Path
from typing import Any

import pytest

from precall import ToolCall
from precall.events import EventRecorder
from precall.testing.fake_server import Answer, FakeChatServer, answer_of, executed_chunk
from precall.wire import ExecutedTurn

README = Path(__file__).parents[1] / "README.md"


def examples() -> list[str]:
    """Return the page's pieces of Python: the library, and the engine side on top of it."""
    return re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)


async def test_the_example_of_the_readme_runs_a_predicted_call_once_and_ends_with_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    example, _ = examples()
    call = ToolCall(name="weather", arguments='{"city": "Rome"}', call_id="1")
    cities: list[str] = []

    async def look_up_weather(city: str) -> str:
        cities.append(city)
        return "sunny"

    target = FakeChatServer(answers=[answer_of(calls=[call], delay_s=0.3), answer_of(content="It is sunny.")])
    draft = FakeChatServer(answers=[answer_of(calls=[call]), answer_of(content="None.")])
    async with target, draft:
        names: dict[str, Any] = {
            "TARGET_URL": target.base_url,
            "DRAFT_URL": draft.base_url,
            "look_up_weather": look_up_weather,
        }
        exec(compile(example, str(README), "exec"), names)
        await names["ask"]("What is the weather in Rome?")
    assert cities == ["Rome"]
    assert target.requests[1]["messages"][-1] == {"role": "tool", "tool_call_id": "1", "content": "sunny"}
    printed = capsys.readouterr().out
    assert "It is sunny." in printed
    assert "'outcome': <Outcome.READY_HIT: 'ready_hit'>" in printed


async def test_the_example_of_the_engine_side_ends_with_the_answer_in_the_same_response() -> None:
    call = ToolCall(name="weather", arguments='{"city": "Rome"}', call_id="1")
    executed = ExecutedTurn(
        reasoning="", content="", calls=(call,), outputs=("sunny",), num_prompt_tokens=9, num_output_tokens=3
    )
    answer = Answer(events=(executed_chunk(executed), *answer_of(content="It is sunny.").events), num_posts=1)
    cities: list[str] = []

    async def look_up_weather(city: str) -> str:
        cities.append(city)
        return "sunny"

    async with FakeChatServer(answers=[answer]) as target, FakeChatServer(answers=[answer_of(calls=[call])]) as draft:
        names: dict[str, Any] = {
            "TARGET_URL": target.base_url,
            "DRAFT_URL": draft.base_url,
            "look_up_weather": look_up_weather,
        }
        for example in examples():
            exec(compile(example, str(README), "exec"), names)
        runner = names["speculate_on_the_engine"](EventRecorder("t", lambda _: None))
        messages = [{"role": "user", "content": "What is the weather in Rome?"}]
        turns = [turn async for turn in runner.run_response(messages)]
    assert [turn.generation.is_continued for turn in turns] == [True, False]
    assert [message["content"] for message in messages[1:]] == [None, "sunny", "It is sunny."]
    assert cities == ["Rome"] and target.posts[0][2][0]["output"] == "sunny"
