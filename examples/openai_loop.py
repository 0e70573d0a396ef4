"""An agent loop on the openai client, with speculation: the draft's calls run while the target generates."""

import asyncio

from openai import AsyncOpenAI

from precall import ChatClient, ChatDraft, ChatTarget, Speculator, tools_from_openai

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "description": "Weather now", "parameters": CITY}}]
FUNCTIONS = {"weather": lambda city: f"It is sunny in {city}."}  # plain or asynchronous
EFFECTS = {"weather": "read"}  # declared by you: writes, and tools that are not named here, never run ahead


async def answer(openai: AsyncOpenAI, question: str) -> str:
    speculator = Speculator(
        target=ChatTarget(ChatClient.from_openai(openai, "gpt-5")),
        draft=ChatDraft(ChatClient.from_openai(openai, "gpt-5-nano")),
        tools=tools_from_openai(TOOLS, FUNCTIONS, EFFECTS),
    )
    messages = [{"role": "user", "content": question}]
    async with speculator.trajectory() as trajectory:
        while messages[-1]["role"] != "assistant":
            await trajectory.turn(messages)
    print(trajectory.ledger)
    return messages[-1]["content"]


if __name__ == "__main__":
    print(asyncio.run(answer(AsyncOpenAI(), "What is the weather in Rome?")))
