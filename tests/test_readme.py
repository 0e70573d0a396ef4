"""The library's examples, taken from the pages and run against a scripted target and draft."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

import precall
from precall.calls import ToolCall
from precall.events import EventRecorder
from precall.rate_limits import RateLimits
from precall.testing.fake_server import Answer, FakeChatServer, answer_of, executed_chunk
from precall.wire import ExecutedTurn

ROOT = Path(__file__).parents[1]
QUESTION = "What is the weather in Rome?"
CALL = ToolCall(name="weather", arguments='{"city": "Rome"}', call_id="1")


def examples(page: str) -> list[str]:
    """Return a page's pieces of Python."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def run(example: str, names: dict[str, Any]) -> None:
    exec(compile(example, "<example>", "exec"), names)


def test_the_readme_shows_the_example_as_it_stands_in_its_file() -> None:
    _, example, _ = examples("README.md")
    assert example == (ROOT / "examples" / "openai_loop.py").read_text(encoding="utf-8")


def test_the_example_is_short() -> None:
    _, example, _ = examples("README.md")
    body = example[example.index("async def answer") : example.index("if __name__")]
    assert len(body.strip().splitlines()) < 20


class World:
    """A question that takes one look at the weather: what target and draft say, and what is looked up."""

    def __init__(self, target_delay_s: float = 0.0) -> None:
        looking = answer_of(calls=[CALL], delay_s=target_delay_s)
        self.target = (looking, answer_of(content="It is sunny."))
        self.draft = (answer_of(calls=[CALL]), answer_of(content="None."))
        self.cities: list[str] = []

    async def look_up(self, city: str) -> str:
        self.cities.append(city)
        return "sunny"


async def test_the_example_answers_as_the_plain_loop_does_and_runs_the_predicted_call_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain, example, _ = examples("README.md")
    histories = []
    world = World(target_delay_s=0.2)
    async with (
        FakeChatServer(
            answers={"gpt-5": [*world.target, *map(_whole, world.target)], "gpt-5-nano": world.draft}
        ) as server,
        AsyncOpenAI(base_url=server.base_url, api_key="k") as openai,
    ):
        names: dict[str, Any] = {"__name__": "example"}
        run(example, names)
        names["FUNCTIONS"]["weather"] = world.look_up
        assert await names["answer"](openai, QUESTION) == "It is sunny."
        assert world.cities == ["Rome"]
        assert "num_ready_hits=1" in capsys.readouterr().out
        names |= {"openai": openai, "json": json, "messages": [{"role": "user", "content": QUESTION}]}
        names["FUNCTIONS"]["weather"] = lambda city: "sunny"
        run("async def loop():\n" + textwrap.indent(plain, "    "), names)
        await names["loop"]()
        histories = [request for request in server.requests if request["model"] == "gpt-5"]
    for ours, plains in zip(histories[:2], histories[2:], strict=True):
        assert ours["tools"] == plains["tools"]
        assert _told(ours["messages"]) == _told(plains["messages"])
        assert ours.keys() - plains.keys() == {
            "stream",
            "stream_options",
        }  # nothing else that the plain loop did not send


def _whole(answer: Answer) -> Answer:
    """Return an answer as it comes to a request that is not streamed."""
    called = any("tool_calls" in event for event in answer.events)
    entry = {"id": "1", "type": "function", "function": {"name": CALL.name, "arguments": CALL.arguments}}
    message = {"role": "assistant", "content": None, "tool_calls": [entry]}
    if not called:
        message = {"role": "assistant", "content": "It is sunny."}
    body = {"id": "1", "object": "chat.completion", "created": 0, "model": "gpt-5"}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if called else "stop"}
    return Answer(events=(json.dumps({**body, "choices": [choice]}),), is_streamed=False)


def _told(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in message.items() if value is not None} for message in messages]


async def test_the_parts_put_together_by_hand_do_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    example, _ = examples("docs/client.md")
    world = World(target_delay_s=0.2)
    async with FakeChatServer(answers=world.target) as target, FakeChatServer(answers=world.draft) as draft:
        names: dict[str, Any] = {
            "TARGET_URL": target.base_url,
            "DRAFT_URL": draft.base_url,
            "look_up_weather": world.look_up,
        }
        run(example, names)
        await names["ask"](QUESTION)
    assert world.cities == ["Rome"]
    assert target.requests[1]["messages"][-1] == {"role": "tool", "tool_call_id": "1", "content": "sunny"}
    printed = capsys.readouterr().out
    assert "It is sunny." in printed
    assert "'outcome': <Outcome.READY_HIT: 'ready_hit'>" in printed


async def test_the_example_of_the_engine_side_ends_with_the_answer_in_the_same_response() -> None:
    executed = ExecutedTurn(
        reasoning="", content="", calls=(CALL,), outputs=("sunny",), num_prompt_tokens=9, num_output_tokens=3
    )
    answer = Answer(events=(executed_chunk(executed), *answer_of(content="It is sunny.").events), num_posts=1)
    world = World()
    async with FakeChatServer(answers=[answer]) as target, FakeChatServer(answers=world.draft) as draft:
        names: dict[str, Any] = {
            "TARGET_URL": target.base_url,
            "DRAFT_URL": draft.base_url,
            "look_up_weather": world.look_up,
        }
        run(examples("docs/client.md")[0], names)
        run(examples("README.md")[-1], names)
        runner = names["speculate_on_the_engine"](EventRecorder("t", lambda _: None))
        messages = [{"role": "user", "content": QUESTION}]
        turns = [turn async for turn in runner.run_response(messages)]
    assert [turn.generation.is_continued for turn in turns] == [True, False]
    assert [message["content"] for message in messages[1:]] == [None, "sunny", "It is sunny."]
    assert world.cities == ["Rome"] and target.posts[0][2][0]["output"] == "sunny"


def test_the_example_of_a_cap_makes_a_speculator() -> None:
    names: dict[str, Any] = {"openai": AsyncOpenAI(api_key="k"), "target": None, "tools": [], **vars(precall)}
    names["RateLimits"] = RateLimits
    run(examples("docs/client.md")[1], names)
    assert names["cap"].limit_usd == 1.0
