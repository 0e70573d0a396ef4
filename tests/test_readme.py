"""The library example of the README, taken from the page and run against a scripted target and draft."""

import re
from pathlib import Path
from typing import Any

import pytest

from precall import ToolCall
from precall.testing.fake_server import FakeChatServer, answer_of

README = Path(__file__).parents[1] / "README.md"


async def test_the_example_of_the_readme_runs_a_predicted_call_once_and_ends_with_the_answer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
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
