"""What the client adds to a turn: the arms do the same work, and the figures are what they say."""

import pytest
from openai import AsyncOpenAI

from harness.overhead import arms as overhead_arms
from harness.overhead.__main__ import figures, instant_engine
from harness.overhead.arms import ARMS

NAMES = ["streamed", "off", "on", "plain", "on_with_request", "streamed_again"]


async def test_all_arms_come_to_the_same_history(monkeypatch: pytest.MonkeyPatch) -> None:
    histories: list[list[dict]] = []

    def question() -> list[dict]:
        histories.append([{"role": "user", "content": "Look it up."}])
        return histories[-1]

    monkeypatch.setattr(overhead_arms, "question", question)
    async with instant_engine() as url, AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as openai:
        assert list(ARMS) == NAMES
        for make in ARMS.values():
            await make(openai)(2)
    told = [[{key: value for key, value in message.items() if value is not None} for message in h] for h in histories]
    assert [message["role"] for message in told[0]] == ["user", *["assistant", "tool"] * 2]
    assert told[0][2]["content"] == "value of a"
    assert all(history == told[0] for history in told[1:])


def test_figures_are_differences_within_a_block() -> None:
    blocks = [
        {"streamed": 3.0, "streamed_again": 3.1, "off": 3.2, "on": 4.0, "plain": 2.0, "on_with_request": 7.0},
        {"streamed": 5.0, "streamed_again": 4.9, "off": 5.2, "on": 7.0, "plain": 4.0, "on_with_request": 9.0},
    ]
    found = figures(blocks)
    assert found["added_ms_per_turn"] == 1.5
    assert found["off_minus_streamed_ms"] == [0.2, 0.2, 0.2]
    assert found["off_minus_plain_ms"][1] == 1.2
    assert found["on_minus_streamed_ms"][1] == 1.5
    assert found["on_with_request_minus_streamed_ms"][1] == 4.0
    assert found["streamed_against_itself_ms"][1] == 0.0
    assert found["noise_floor_ms"] > 0.1
    assert found["cpu_ms_per_turn"]["streamed"] == 4.0


def test_one_block_has_no_interval() -> None:
    block = dict.fromkeys(NAMES, 1.0)
    found = figures([block])
    assert found["off_minus_streamed_ms"] == [None, 0.0, None]
    assert "noise_floor_ms" not in found
