"""`python -m harness.replay.stock_sessions WORK.json`: stock streaming sessions under the load of the stress run.

Each agent keeps one session (`AsyncLLM.generate` over an async generator) from its first turn to its last, paused while
its tool runs, as vLLM's streaming input invites to. Nothing is admitted, reserved or watched. The last line is one JSON
object. WORK.json holds `engine` (arguments of AsyncEngineArgs), `agents` (for each a list of chunks: `input`, the
tokens to append, and `output`, the tokens it then generates), `tool_s` and `stall_s`.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True, kw_only=True)
class Progress:
    """`num_in_tool` sessions are paused because their tool runs; the others have given the engine its next input."""

    num_unfinished: int
    num_in_tool: int = 0
    num_turns: int = 0
    last_token_s: float = field(default_factory=time.monotonic)


async def run_session(
    engine: Any, name: str, chunks: list[dict[str, list[int]]], tool_s: float, seen: Progress
) -> None:
    """Run one agent in one session."""
    from vllm import SamplingParams
    from vllm.engine.protocol import StreamingInput
    from vllm.inputs.engine import tokens_input
    from vllm.sampling_params import RequestOutputKind

    has_ended = asyncio.Event()

    def params(chunk: dict[str, list[int]]) -> SamplingParams:
        return SamplingParams(
            max_tokens=len(chunk["output"]),
            ignore_eos=True,
            output_kind=RequestOutputKind.DELTA,
            extra_args={"replay_token_ids": chunk["output"]},
        )

    async def inputs() -> AsyncGenerator[StreamingInput, None]:
        sent_again: list[int] = []
        for index, chunk in enumerate(chunks):
            if index:
                await has_ended.wait()
                has_ended.clear()
                seen.num_in_tool += 1
                await asyncio.sleep(tool_s)
                seen.num_in_tool -= 1
            prompt = tokens_input(prompt_token_ids=[*sent_again, *chunk["input"]])
            yield StreamingInput(prompt=prompt, sampling_params=params(chunk))
            sent_again = chunk["output"][-1:]  # the engine drops a turn's last token

    async for output in engine.generate(inputs(), params(chunks[0]), name):
        seen.last_token_s = time.monotonic()
        if output.outputs[0].finish_reason is not None:
            seen.num_turns += 1
            has_ended.set()
    seen.num_unfinished -= 1


async def run(work: dict[str, Any]) -> dict[str, Any]:
    """Return what became of the agents: deadlocked means that nothing came for `stall_s` though no tool runs."""
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**work["engine"]))
    seen = Progress(num_unfinished=len(work["agents"]))
    sessions = [
        asyncio.create_task(run_session(engine, f"session-{index}", chunks, work["tool_s"], seen))
        for index, chunks in enumerate(work["agents"])
    ]
    try:
        while seen.num_unfinished and time.monotonic() - seen.last_token_s < work["stall_s"]:
            await asyncio.sleep(0.2)
            for session in sessions:
                if session.done():
                    session.result()
        await engine.check_health()
        return {
            "stock_deadlocked": seen.num_unfinished > 0 and seen.num_in_tool == 0,
            "num_sessions": len(sessions),
            "num_unfinished": seen.num_unfinished,
            "num_turns": seen.num_turns,
            "silent_s": round(time.monotonic() - seen.last_token_s, 1),
        }
    finally:
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        engine.shutdown()


def main() -> None:
    result = asyncio.run(run(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
    print(json.dumps(result), flush=True)
    os._exit(0)  # vLLM's threads may outlive a deadlocked engine


if __name__ == "__main__":
    main()
