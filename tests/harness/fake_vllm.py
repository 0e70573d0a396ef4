"""A server in the place of vLLM that follows recorded tokens: chat completions, models, counters; runs in a thread.

A request with `replay_token_ids` gets their text back, taken apart as vLLM's parsers for qwen3 and hermes take it
apart; one without gets a call of its first tool, and after an observation an answer.
"""

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any

from tokenizers import Tokenizer

from harness.backends.metrics_endpoint import (
    CONTEXT_TOKENS,
    DECODE_STEPS,
    GENERATION_TOKENS,
    GENERATION_TOKENS_SCHEDULED,
    STEPS,
)
from precall.calls import ToolCall
from precall.testing.fake_server import call_deltas, chunk, usage_chunk

CALL = re.compile(r'<tool_call>\n\{"name": "(.*?)", "arguments": (.*?)\}\n</tool_call>', re.DOTALL)
# As if every request were a step that decodes, and its input one token.
COUNTED = {GENERATION_TOKENS: "tokens", STEPS: "steps", DECODE_STEPS: "steps"}
COUNTED |= {CONTEXT_TOKENS: "steps", GENERATION_TOKENS_SCHEDULED: "tokens"}
METRICS = "".join(f"# TYPE {name} counter\n{name} %({what})d\n" for name, what in COUNTED.items())


@dataclass(slots=True, kw_only=True)
class FakeVllm:
    """A context manager; `url` is valid inside. `requests` holds the chat requests, `paths` every path that was asked.

    What goes wrong can be set at any time: from the request with number `breaks_at` on every answer is status 500, from
    number `tampers_at` on the prompt has a token more; `is_deaf` gives other tokens than those that were asked for;
    `hold` keeps every answer back while it is cleared.
    """

    tokenizer_file: Path
    models: tuple[str, ...] = ("replay_tiny", "replay_tiny_draft")
    breaks_at: int | None = None
    tampers_at: int | None = None
    is_deaf: bool = False
    has_token_ids: bool = True
    has_prompt_ids: bool = True
    url: str = field(default="", init=False)
    requests: list[dict[str, Any]] = field(default_factory=list, init=False)
    paths: list[str] = field(default_factory=list, init=False)
    num_tokens: int = field(default=0, init=False)
    hold: threading.Event = field(default_factory=threading.Event, init=False)
    _server: ThreadingHTTPServer | None = field(default=None, init=False)
    _tokenizer: Tokenizer | None = field(default=None, init=False)

    def __enter__(self) -> "FakeVllm":
        self._tokenizer = Tokenizer.from_file(str(self.tokenizer_file))
        self.hold.set()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def reset(self) -> None:
        """Let nothing go wrong any more, and forget what was asked."""
        self.breaks_at = self.tampers_at = None
        self.is_deaf, self.has_token_ids, self.has_prompt_ids = False, True, True
        self.hold.set()
        self.requests.clear()
        self.paths.clear()

    def answer(self, body: dict[str, Any]) -> list[str] | None:
        """Return the events that answer a chat request, or None for status 500."""
        number = len(self.requests)
        self.requests.append(body)
        self.hold.wait(30.0)
        if body["model"] not in self.models or (self.breaks_at is not None and number >= self.breaks_at):
            return None
        assert self._tokenizer is not None
        token_ids = body.get("vllm_xargs", {}).get("replay_token_ids")
        if token_ids is None:
            deltas, num_tokens = self._own_deltas(body), 5
        else:
            token_ids = token_ids if not self.is_deaf else token_ids[::-1]
            deltas = list(_parse(self._tokenizer.decode(token_ids, skip_special_tokens=False), number))
            num_tokens = len(token_ids)
        self.num_tokens += num_tokens
        prompt_ids = self._tokenizer.encode(_prompt_text(body), add_special_tokens=False).ids
        if self.tampers_at is not None and number >= self.tampers_at:
            prompt_ids.append(0)
        has_ids = body.get("return_token_ids") and self.has_token_ids and token_ids is not None
        head = {"prompt_token_ids": prompt_ids} if has_ids and self.has_prompt_ids else {}
        events = [chunk({"role": "assistant", "content": ""}, **head)]
        events += [chunk(delta, **({"token_ids": []} if has_ids else {})) for delta in deltas]
        has_calls = any("tool_calls" in delta for delta in deltas)
        last = {"token_ids": token_ids} if has_ids else {}
        events.append(chunk(finish_reason="tool_calls" if has_calls else "stop", **last))
        return [*events, usage_chunk(len(prompt_ids), num_tokens), "[DONE]"]

    def _own_deltas(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        if body["messages"][-1]["role"] == "tool" or not body.get("tools"):
            return [{"content": "Done."}]
        name = body["tools"][0]["function"]["name"]
        return call_deltas(0, ToolCall(name=name, arguments="{}", call_id=f"call-{len(self.requests)}"))


def _parse(text: str, number: int) -> Iterator[dict[str, Any]]:
    """Yield the deltas of one generation: reasoning, content, calls."""
    text = text.removesuffix("<|im_end|>")
    if text.startswith("<think>"):
        reasoning, _, text = text.removeprefix("<think>").partition("</think>")
        yield {"reasoning": reasoning}
    content = text.partition("<tool_call>")[0]
    if content:
        yield {"content": content}
    for index, (name, arguments) in enumerate(CALL.findall(text)):
        yield from call_deltas(index, ToolCall(name=name, arguments=arguments, call_id=f"call-{number}-{index}"))


def _prompt_text(body: dict[str, Any]) -> str:
    """Return what a chat template would render: all of the request that a model sees, so no id of a call."""
    calls = [call["function"] for message in body["messages"] for call in message.get("tool_calls", ())]
    texts = [(message["role"], message.get("content"), message.get("reasoning")) for message in body["messages"]]
    return json.dumps([body.get("tools"), texts, calls])


class _Handler(BaseHTTPRequestHandler):
    fake: FakeVllm

    def do_GET(self) -> None:
        self.fake.paths.append(self.path)
        if self.path == "/v1/models":
            data = [{"id": model, "object": "model"} for model in self.fake.models]
            self._send(json.dumps({"object": "list", "data": data}), "application/json")
        elif self.path == "/metrics":
            counted = {"tokens": self.fake.num_tokens, "steps": len(self.fake.requests)}
            self._send(METRICS % counted, "text/plain; version=0.0.4")
        else:
            self._send("", "text/plain")

    def do_POST(self) -> None:
        self.fake.paths.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        events = self.fake.answer(body)
        if events is None:
            self._send(json.dumps({"error": {"message": "the engine is dead"}}), "application/json", 500)
        else:
            self._send("".join(f"data: {event}\n\n" for event in events), "text/event-stream")

    def _send(self, text: str, content_type: str, status: int = 200) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(text.encode())
        except OSError:
            self.close_connection = True  # the client has left

    def log_message(self, *_: object) -> None:
        pass
