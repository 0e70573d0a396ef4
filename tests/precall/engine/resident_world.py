"""vLLM's whole API server in this process, with our plugin as vLLM loads it, around an engine that follows a script."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.platforms import current_platform
from vllm.renderers import renderer_from_config
from vllm.sampling_params import RequestOutputKind
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.input_processor import InputProcessor
from vllm.v1.spec_decode.custom_class_proposer import create_custom_proposer

from precall.engine.proposer import ToolProposerExtension
from precall.wire import SECRET_HEADER

SECRET = "a secret of the first caller"
TOOLS = [
    {"type": "function", "function": {"name": name, "description": "", "parameters": {"type": "object"}}}
    for name in ("f", "g")
]


def call_text(name: str, **arguments: Any) -> str:
    """A call as a hermes model writes it."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


@dataclass(slots=True, kw_only=True)
class Generation:
    """One generation that the engine was asked for: what it was given, and how it ended."""

    request_id: str
    is_session: bool
    options: dict[str, Any]
    contexts: list[list[int]] = field(default_factory=list)  # before each turn
    params: list[Any] = field(default_factory=list)
    chunks: list[list[int]] = field(default_factory=list)
    is_closed: bool = False


def scripted_worker(vllm_config: Any) -> ToolProposerExtension:
    """A worker with our extension, and with our proposer where the configuration names one."""
    current_platform.import_kernels()
    current_platform.register_triton_kernel_overrides()
    speculative = vllm_config.speculative_config
    worker = ToolProposerExtension()
    worker.model_runner = SimpleNamespace(
        drafter=None if speculative is None else create_custom_proposer(vllm_config),
        max_model_len=vllm_config.model_config.max_model_len,
        effective_drafter_max_model_len=vllm_config.model_config.max_model_len,
        input_batch=SimpleNamespace(req_ids=[], num_prompt_tokens=[]),
        requests={},
    )
    return worker


class ScriptedEngine:
    """Stands for AsyncLLM: turn i that it is asked for generates `turns[i]` (text), then the end of the turn.

    As vLLM's, a session drops the last token of a turn when the next chunk comes. `None` in `turns` never ends.
    """

    errored = False
    dead_error = RuntimeError("dead")
    _client_count = 1

    def __init__(self, vllm_config: Any, turns: list[str | None]) -> None:
        self.vllm_config = vllm_config
        self.model_config = vllm_config.model_config
        self.renderer = renderer_from_config(vllm_config)
        self.input_processor = InputProcessor(vllm_config, self.renderer)
        self.turns = turns
        self.num_turns = 0
        self.generations: list[Generation] = []
        self.has_turn_ended = asyncio.Event()
        self.worker = scripted_worker(vllm_config)

    async def collective_rpc(self, method, args=()):
        """Ask the worker as vLLM does, over a wire that knows nothing but JSON's types."""
        return [getattr(self.worker, method)(*json.loads(json.dumps(args)))]

    def check_admission(self, n: int = 1, request_id: str | None = None) -> None:
        pass

    async def is_tracing_enabled(self) -> bool:
        return False

    async def generate(self, prompt, sampling_params, request_id, **options) -> AsyncGenerator[RequestOutput, None]:
        is_session = isinstance(prompt, AsyncGenerator)
        generation = Generation(request_id=request_id, is_session=is_session, options=options)
        self.generations.append(generation)
        try:
            if not is_session:
                async for output in self._turn(generation, prompt["prompt_token_ids"], sampling_params):
                    yield output
                return
            context: list[int] = []
            async for chunk in prompt:
                chunk_ids = chunk.prompt["prompt_token_ids"]
                generation.chunks.append(list(chunk_ids))
                context = [*context[:-1], *chunk_ids]
                assert len(context) < self.model_config.max_model_len, "this kills the real engine"
                async for output in self._turn(generation, context, chunk.sampling_params):
                    context += output.outputs[0].token_ids
                    yield output
        finally:
            generation.is_closed = True

    async def _turn(self, generation: Generation, context, params):
        generation.contexts.append(list(context))
        generation.params.append(params)
        text = self.turns[self.num_turns]
        self.num_turns += 1
        if text is None:
            await asyncio.Event().wait()
        tokenizer = self.renderer.tokenizer
        token_ids = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
        is_cut = len(token_ids) > params.max_tokens
        token_ids = token_ids[: params.max_tokens]
        is_whole = params.output_kind is RequestOutputKind.FINAL_ONLY
        shown = ""
        for index in range(len(token_ids)):
            is_last = index == len(token_ids) - 1
            whole = tokenizer.decode(token_ids[: index + 1], skip_special_tokens=True)
            reason = ("length" if is_cut else "stop") if is_last else None
            if is_last:
                self.has_turn_ended.set()
            if not is_whole or is_last:
                yield RequestOutput(
                    request_id=generation.request_id,
                    prompt=None,
                    prompt_token_ids=list(context),
                    prompt_logprobs=None,
                    outputs=[
                        CompletionOutput(
                            index=0,
                            text=whole.removeprefix(shown) if not is_whole else whole,
                            token_ids=token_ids if is_whole else [token_ids[index]],
                            cumulative_logprob=None,
                            logprobs=None,
                            finish_reason=reason,
                        )
                    ],
                    finished=is_last and not generation.is_session,
                    num_cached_tokens=0,
                )
            shown = whole
            await asyncio.sleep(0)


@dataclass(slots=True, kw_only=True)
class Reply:
    """What a client got: the last turn's message and finish reason, usage, and the executed turns as sent."""

    message: dict[str, Any]
    finish_reason: str
    usage: dict[str, int]
    executed: list[dict[str, Any]]
    events: list[dict[str, Any]] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class ResidentWorld:
    app: FastAPI
    engine: ScriptedEngine

    @property
    def cache(self):
        return self.app.state.precall_tool_cache.cache

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False), base_url="http://server"
        )

    def encode(self, text: str) -> list[int]:
        return self.engine.renderer.tokenizer.encode(text, add_special_tokens=False)

    async def post(self, *entries: dict[str, Any], request_id: str = "1") -> httpx.Response:
        async with self.client() as client:
            path = f"/cache-tool-output/chatcmpl-{request_id}"
            return await client.post(path, json=list(entries), headers={SECRET_HEADER: SECRET})

    async def chat(self, *, stream: bool = False, opt_in: bool = True, request_id: str = "1", **body: Any) -> Reply:
        answer = await self.chat_raw(stream=stream, opt_in=opt_in, request_id=request_id, **body)
        assert answer.status_code == 200, answer.text
        return _streamed_reply(answer.text) if stream else _whole_reply(answer.json())

    async def chat_raw(
        self, *, stream: bool = False, opt_in: bool = True, request_id: str = "1", **body: Any
    ) -> httpx.Response:
        headers = {"X-Request-Id": request_id} | ({SECRET_HEADER: SECRET} if opt_in else {})
        sent = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": TOOLS, "stream": stream}
        sent |= {"return_token_ids": True} | ({"stream_options": {"include_usage": True}} if stream else {}) | body
        async with self.client() as client:
            return await client.post("/v1/chat/completions", json=sent, headers=headers)


def _whole_reply(body: dict[str, Any]) -> Reply:
    (choice,) = body["choices"]
    return Reply(
        message={"tool_calls": []} | choice["message"],
        finish_reason=choice["finish_reason"],
        usage=body["usage"],
        executed=body.get("precall", {}).get("executed_turns", []),
        token_ids=choice["token_ids"] or [],
    )


def _streamed_reply(text: str) -> Reply:
    assert text.endswith("data: [DONE]\n\n")
    events = [json.loads(line.removeprefix("data: ")) for line in text.split("\n\n") if line.startswith("data: {")]
    reply = Reply(message={"content": "", "tool_calls": []}, finish_reason="", usage={}, executed=[], events=events)
    for event in events:
        reply.executed += event.get("precall", {}).get("executed_turns", [])
        reply.usage = event.get("usage") or reply.usage
        for choice in event["choices"]:
            reply.message["content"] += choice["delta"].get("content") or ""
            reply.finish_reason = choice["finish_reason"] or reply.finish_reason
            reply.token_ids += choice.get("token_ids") or []
            for part in choice["delta"].get("tool_calls") or []:
                calls = reply.message["tool_calls"]
                if part["index"] == len(calls):
                    calls.append({"function": {"name": "", "arguments": ""}})
                for key, value in part["function"].items():
                    calls[part["index"]]["function"][key] += value or ""
    return reply


@asynccontextmanager
async def resident_world(
    model: Path, turns: list[str | None], *arguments: str, num_blocks: int = 1000, **settings: Any
) -> AsyncGenerator[ResidentWorld, None]:
    """A server of `model` whose engine follows `turns`; `settings` are those of EngineSettings."""
    line = ["--model", str(model), "--served-model-name", "m", "--load-format", "dummy", "--enforce-eager"]
    line += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes", *arguments]
    line += ["--additional-config", json.dumps({"precall": settings})]
    if "--max-model-len" not in arguments:
        line += ["--max-model-len", "2048"]
    args = make_arg_parser(FlexibleArgumentParser()).parse_args(line)
    config = AsyncEngineArgs.from_cli_args(args).create_engine_config()
    config.cache_config.num_gpu_blocks = num_blocks
    num_longest = -(-config.model_config.max_model_len // config.cache_config.block_size)
    config.cache_config.kv_cache_max_concurrency = num_blocks / num_longest
    engine = ScriptedEngine(config, turns)
    app = build_app(args, ("generate",), config.model_config)
    await init_app_state(engine, app.state, args, ("generate",))
    try:
        yield ResidentWorld(app=app, engine=engine)
    finally:
        engine.renderer.shutdown()


def executed_turn(calls: list[tuple[str, dict[str, Any], str]], content: str | None = None) -> list[dict[str, Any]]:
    """The messages of an executed turn, without ids."""
    asked = [{"type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for n, a, _ in calls]
    assistant = {"role": "assistant", "content": content, "tool_calls": asked}
    return [assistant, *({"role": "tool", "content": text} for _, _, text in calls)]
