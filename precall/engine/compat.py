"""Every name of vLLM that the engine side touches beside its documented plugin points, checked at start.

vLLM promises nothing about these names between versions. So the version is pinned, each name is looked up and its
parameters are compared before the server takes a request, and no other module of `precall.engine` imports vLLM.
"""

import inspect
import json
import logging
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from precall.engine.template import Rendered
from precall.errors import ConfigError

VERSION = "0.32"


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateName:
    """A name in vLLM and the parameters, beside self, that we pass to it. Other parameters must have defaults."""

    module: str
    path: str
    parameters: tuple[str, ...] | None = None

    def resolve(self) -> Any:
        """Return what the name stands for. Raises ImportError or AttributeError when it has moved."""
        found: Any = import_module(self.module)
        for part in self.path.split("."):
            found = getattr(found, part)
        return found

    def check(self) -> str | None:
        """Return what is wrong with the name, or None."""
        try:
            found = self.resolve()
        except (ImportError, AttributeError) as error:
            return f"{self.module}:{self.path} is missing ({error})"
        if self.parameters is None:
            return None
        parameters = [item for name, item in inspect.signature(found).parameters.items() if name != "self"]
        names = [item.name for item in parameters]
        needed = [item.name for item in parameters if item.default is item.empty and item.kind is not item.VAR_KEYWORD]
        absent = [name for name in self.parameters if name not in names]
        if absent or not set(needed) <= set(self.parameters):
            return f"{self.module}:{self.path} takes ({', '.join(names)}); {', '.join(self.parameters)} are passed"
        return None


_MAIN = PrivateName(module="vllm.entrypoints.launchers.api_server.entry", path="main", parameters=())
_PARSER = PrivateName(module="vllm.utils.argparse_utils", path="FlexibleArgumentParser")
_ADD_ARGUMENTS = PrivateName(
    module="vllm.entrypoints.launchers.cli_args", path="make_arg_parser", parameters=("parser",)
)
_ERROR_RESPONSE = PrivateName(module="vllm.entrypoints.serve.engine.protocol", path="ErrorResponse")
_ERROR_INFO = PrivateName(module="vllm.entrypoints.serve.engine.protocol", path="ErrorInfo")
_AUTHENTICATION = PrivateName(
    module="vllm.entrypoints.serve.middleware.authenticate",
    path="AuthenticationMiddleware",
    parameters=("app", "tokens"),
)
_VERIFY_TOKEN = PrivateName(
    module=_AUTHENTICATION.module, path="AuthenticationMiddleware.verify_token", parameters=("headers",)
)
_SERVING = "vllm.entrypoints.openai.chat_completion.serving"
_CREATE = PrivateName(
    module=_SERVING, path="OpenAIServingChat.create_chat_completion", parameters=("request", "raw_request")
)
_BASE_REQUEST_ID = PrivateName(
    module=_SERVING, path="OpenAIServingChat._base_request_id", parameters=("raw_request", "default")
)
_MAKE_PARSER = PrivateName(
    module=_SERVING,
    path="OpenAIServingChat._make_parser",
    parameters=("request", "tokenizer", "chat_template_kwargs"),
)
_TEMPLATE_KWARGS = PrivateName(
    module=_SERVING, path="OpenAIServingChat._effective_chat_template_kwargs", parameters=("request",)
)
_RENDER_CHAT = PrivateName(
    module="vllm.renderers.online_renderer", path="OnlineRenderer.render_chat", parameters=("request",)
)
_CHAT_REQUEST = PrivateName(module="vllm.entrypoints.openai.chat_completion.protocol", path="ChatCompletionRequest")
_CHAT_RESPONSE = PrivateName(module=_CHAT_REQUEST.module, path="ChatCompletionResponse")
_MODEL_NAME = PrivateName(
    module="vllm.entrypoints.openai.models.serving", path="OpenAIServingModels.model_name", parameters=()
)
_GENERATE = PrivateName(
    module="vllm.v1.engine.async_llm",
    path="AsyncLLM.generate",
    parameters=("prompt", "sampling_params", "request_id", "reasoning_ended", "reasoning_parser_kwargs"),
)
_STREAMING_INPUT = PrivateName(
    module="vllm.engine.protocol", path="StreamingInput", parameters=("prompt", "sampling_params")
)
_TOKENS_INPUT = PrivateName(
    module="vllm.inputs.engine", path="tokens_input", parameters=("prompt_token_ids", "cache_salt")
)
_MAX_CONCURRENCY = PrivateName(module="vllm.config", path="CacheConfig.kv_cache_max_concurrency")
_OUTPUT_KIND = PrivateName(module="vllm.sampling_params", path="RequestOutputKind.DELTA")
_STAT_LOGGER = PrivateName(
    module="vllm.v1.metrics.loggers",
    path="AggregateStatLoggerBase.record",
    parameters=("scheduler_stats", "iteration_stats", "mm_cache_stats", "engine_idx"),
)
_ITERATION_LOG = PrivateName(
    module=_STAT_LOGGER.module,
    path="LoggingStatLogger._log_iteration_details",
    parameters=("scheduler_stats", "engine_idx"),
)
_ITERATION_DETAILS = PrivateName(
    module="vllm.v1.metrics.stats",
    path="SchedulerIterationDetails",
    parameters=(
        *("iteration_index", "num_ctx_requests", "num_ctx_tokens", "num_generation_requests"),
        *("num_generation_tokens", "elapsed_ms", "is_dummy"),
    ),
)
NAMES = (
    *(
        _MAIN,
        _PARSER,
        _ADD_ARGUMENTS,
        _ERROR_RESPONSE,
        _ERROR_INFO,
        _AUTHENTICATION,
        _VERIFY_TOKEN,
        _CREATE,
        _BASE_REQUEST_ID,
    ),
    *(_MAKE_PARSER, _TEMPLATE_KWARGS, _RENDER_CHAT, _CHAT_REQUEST, _CHAT_RESPONSE),
    *(_MODEL_NAME, _GENERATE, _STREAMING_INPUT, _TOKENS_INPUT, _MAX_CONCURRENCY, _OUTPUT_KIND),
    *(_STAT_LOGGER, _ITERATION_LOG, _ITERATION_DETAILS),
)


def check_vllm() -> None:
    """Raise ConfigError unless the installed vLLM is the one that the engine side was written for."""
    import vllm

    if not vllm.__version__.startswith(f"{VERSION}."):
        remedy = "Install that version, or leave precall out of VLLM_PLUGINS."
        raise ConfigError(f"vLLM is {vllm.__version__}; precall's engine side needs {VERSION}. {remedy}")
    wrong = [problem for name in NAMES if (problem := name.check()) is not None]
    if wrong:
        remedy = "Leave precall out of VLLM_PLUGINS, or correct precall/engine/compat.py."
        raise ConfigError(f"This build of vLLM {vllm.__version__} is not as expected: {'; '.join(wrong)}. {remedy}")


def check_processes(engine_client: Any, state: Any) -> None:
    """Raise ConfigError unless one API server process serves one engine and answers chat requests.

    A post must reach the process that streams the response, and with several there is no saying which one it reaches.
    """
    for name in ("_client_count", "vllm_config"):
        if not hasattr(engine_client, name):
            raise ConfigError(f"The engine client has no {name}; precall's engine side needs AsyncLLM of {VERSION}.")
    if engine_client._client_count != 1:
        remedy = "Start with --api-server-count 1."
        raise ConfigError(f"vLLM runs {engine_client._client_count} API server processes; precall needs 1. {remedy}")
    num_replicas = engine_client.vllm_config.parallel_config.data_parallel_size
    if num_replicas != 1:
        remedy = "Start one server per replica, or leave precall out of VLLM_PLUGINS."
        raise ConfigError(f"data_parallel_size is {num_replicas}; precall's engine side needs 1. {remedy}")
    if getattr(state, "openai_serving_chat", None) is None:
        raise ConfigError("The server has no chat handler; precall's engine side needs a model that answers chats.")


PROPOSER = "precall.engine.proposer.ToolProposer"
PROPOSER_EXTENSION = "precall.engine.proposer.ToolProposerExtension"


def has_tool_proposer(vllm_config: Any) -> bool:
    """Return whether the workers have precall's extension. Raises ConfigError for the proposer without it."""
    has_extension = vllm_config.parallel_config.worker_extension_cls == PROPOSER_EXTENSION
    speculative = vllm_config.speculative_config
    if speculative is not None and speculative.model == PROPOSER and not has_extension:
        raise ConfigError(f"The proposer {PROPOSER} needs --worker-extension-cls {PROPOSER_EXTENSION}; add it.")
    return has_extension


def lift_draft_limit(runner: Any, num_draft_tokens: int) -> None:
    """Have a worker's model runner ask the proposer for drafts at any length of a sequence.

    Where a sequence of the batch comes near max_model_len, vLLM drafts token 0 for every row in the proposer's stead,
    and does so with CUDA streams that a proposer without a model has not set up. Ours keeps the limit itself.
    """
    for name in ("effective_drafter_max_model_len", "max_model_len", "input_batch", "requests"):
        if not hasattr(runner, name):
            raise ConfigError(f"The model runner has no {name}; precall's proposer needs GPUModelRunner of {VERSION}.")
    runner.effective_drafter_max_model_len = runner.max_model_len + num_draft_tokens


def repair_sampling() -> None:
    """Have vLLM's CPU build verify drafts under the temperature, top-k and top-p of their requests.

    Its kernel for `expand_batch_to_tokens` writes into a copy of the output unless that holds int64, so temperatures
    are whatever was in memory (docs/upstream). A build that passes the trial is left alone.
    """
    import torch

    name = "expand_batch_to_tokens"
    module = import_module("vllm.v1.sample.rejection_sampler")
    values, ends = torch.tensor([0.625, 3.5]), torch.tensor([1, 3], dtype=torch.int32)
    if not hasattr(module, name):
        raise ConfigError(f"vllm.v1.sample.rejection_sampler has no {name}; precall's proposer needs vLLM {VERSION}.")
    if _is_cpu() and getattr(module, name)(values, ends, 3).tolist() != [0.625, 3.5, 3.5]:
        setattr(module, name, _expand)


def _is_cpu() -> bool:
    from vllm.platforms import current_platform

    return current_platform.is_cpu()


def _expand(x: Any, cu_num_tokens: Any, num_tokens: int, replace_from: int = 0, replace_to: int = 0) -> Any:
    """Repeat `x` ([requests]) for each request's tokens; `cu_num_tokens` ([requests]) is where each one's end."""
    counts = cu_num_tokens.diff(prepend=cu_num_tokens.new_zeros(1))
    expanded = x.repeat_interleave(counts.long())
    assert len(expanded) == num_tokens, f"{num_tokens} tokens are expected, there are {len(expanded)}"
    return expanded.masked_fill(expanded == replace_from, replace_to)


DRAFT_KEY = "precall_draft_key"
"""In the extra arguments of a request's sampling parameters: which response's candidates may be drafted in it."""


def draft_key_of_row(runner: Any, row: int) -> tuple[str | None, int]:
    """Return the draft key of the request in a row of the batch, None without one, and where its turn begins."""
    batch = runner.input_batch
    params = runner.requests[batch.req_ids[row]].sampling_params
    return ((params and params.extra_args) or {}).get(DRAFT_KEY), int(batch.num_prompt_tokens[row])


def proposer_of(runner: Any) -> Any:
    """Return the proposer of a worker's model runner, None without one."""
    return getattr(runner, "drafter", None)


def with_draft_key(params: Any, key: str) -> Any:
    """Return a copy of sampling parameters with a draft key."""
    params = params.clone()
    params.extra_args = {**(params.extra_args or {}), DRAFT_KEY: key}
    return params


def check_arguments(arguments: list[str] | None = None) -> None:
    """Raise ConfigError for a command line that asks for what `check_processes` refuses, before anything starts.

    `arguments` None: those of this process. vLLM's own module would take --api-server-count without a word and run
    one process.
    """
    args = _ADD_ARGUMENTS.resolve()(_PARSER.resolve()()).parse_args(arguments)
    for name in ("api_server_count", "data_parallel_size"):
        value = getattr(args, name)
        if value not in (None, 1):
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag} is {value}; precall's engine side needs 1. Start one server per replica.")


def run_api_server() -> None:
    """Run vLLM's API server with the arguments of the command line, as its own module does."""
    _MAIN.resolve()()


def stat_logger_base() -> Any:
    """Return the class of which stat loggers for all engines of a server are subclasses."""
    from vllm.v1.metrics.loggers import AggregateStatLoggerBase

    return AggregateStatLoggerBase


def hush_iteration_log() -> None:
    """Have vLLM not write a line of its log for each engine step. Its other lines stay."""
    logging.getLogger(_ITERATION_LOG.module).addFilter(_is_no_iteration)


def _is_no_iteration(record: logging.LogRecord) -> bool:
    return record.funcName != _ITERATION_LOG.path.rpartition(".")[2]


def error_response(status: int, message: str) -> Any:
    """Return an error in vLLM's own shape; the chat route sends it with `status`."""
    info = _ERROR_INFO.resolve()(message=message, type=_ERROR_TYPES[status], code=status)
    return _ERROR_RESPONSE.resolve()(error=info)


_ERROR_TYPES = {
    400: "BadRequestError",
    401: "UnauthorizedError",
    403: "ForbiddenError",
    404: "NotFoundError",
    409: "ConflictError",
    410: "GoneError",
    413: "ContentTooLargeError",
    422: "UnprocessableEntityError",
    429: "TooManyRequestsError",
}


def key_check(api_keys: list[str] | None) -> Callable[[Any], bool]:
    """Return a function that says whether a request's headers carry one of the keys; all pass when there is none.

    `api_keys` is what --api-key holds; without it the key in VLLM_API_KEY counts, as for vLLM's own routes.
    """
    from vllm import envs

    keys = [key for key in (api_keys or [envs.VLLM_API_KEY]) if key]
    if not keys:
        return lambda headers: True
    return _AUTHENTICATION.resolve()(app=None, tokens=keys).verify_token


def model_name(handler: Any, request: Any) -> str:
    """Return the model's name as it stands in responses to a request without an adapter."""
    return request.model or handler.models.model_name()


def response_id_of(handler: Any, request: Any, raw_request: Any) -> str:
    """Return the id that the chat handler will give the response to a request."""
    return f"chatcmpl-{handler._base_request_id(raw_request, request.request_id)}"


def make_parser(handler: Any, request: Any) -> Any:
    """Return a new parser of reasoning and calls, such as the chat handler makes for a request."""
    return handler._make_parser(request, handler.renderer.tokenizer, handler._effective_chat_template_kwargs(request))


async def render_prompt(handler: Any, request: Any, messages: list[dict[str, Any]], is_prompt: bool) -> Rendered:
    """Return what the chat handler would make of `messages` in a request like this one.

    For gpt-oss vLLM renders tokens without a text, and always asks for the next turn.
    """
    changes = {"messages": messages, "add_generation_prompt": is_prompt, "continue_final_message": False}
    rendered = await handler.online_renderer.render_chat(request.model_copy(update=changes))
    if isinstance(rendered, _ERROR_RESPONSE.resolve()):
        raise ConfigError(f"The chat template cannot be rendered: {rendered.error.message}")
    _, (prompt,) = rendered
    if "prompt_token_ids" not in prompt:
        raise ConfigError("The renderer returns no tokens; splicing needs those of a rendered chat.")
    token_ids = tuple(prompt["prompt_token_ids"])
    text = prompt.get("prompt")
    if text is None:
        text = handler.renderer.tokenizer.decode(token_ids, skip_special_tokens=False)
    return Rendered(text=text, token_ids=token_ids)


async def render_call(handler: Any, name: str, arguments: dict[str, Any]) -> str:
    """Return the text of a conversation that ends in this call, as the chat handler would render it."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": "call_1", "type": "function", "function": function}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "tool_calls": [call]}]
    return (await render_prompt(handler, sample_request(), messages, False)).text


def sample_request() -> Any:
    """Return a chat request with a tool, to try the chat template on."""
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    return _CHAT_REQUEST.resolve()(messages=[{"role": "user", "content": "x"}], tools=tools)


def num_longest_blocks(cache_config: Any) -> int:
    """Return the KV blocks that a request of the model's full length takes, in all groups of layers together.

    vLLM tells the API server how many such requests fit (`get_max_concurrency_for_kv_cache_config`: blocks divided by
    what we look for), but not what the groups are.
    """
    num_requests = cache_config.kv_cache_max_concurrency
    if not num_requests or not cache_config.num_gpu_blocks:
        raise ConfigError("The engine does not tell the size of its KV cache; admission needs it.")
    return round(cache_config.num_gpu_blocks / num_requests)


def is_chat_response(answer: Any) -> bool:
    """Return whether the chat handler has answered with a whole response: no stream, no error."""
    return isinstance(answer, _CHAT_RESPONSE.resolve())


def tokens_prompt(token_ids: list[int], cache_salt: str | None) -> Any:
    """Return a prompt of tokens for the engine."""
    return _TOKENS_INPUT.resolve()(prompt_token_ids=list(token_ids), cache_salt=cache_salt)


def streaming_input(prompt: Any, params: Any) -> Any:
    """Return one chunk of a streaming-input session."""
    return _STREAMING_INPUT.resolve()(prompt=prompt, sampling_params=params)


def with_deltas(params: Any) -> Any:
    """Return a copy of sampling parameters under which every output holds what is new, as a session needs."""
    params = params.clone()
    params.output_kind = _OUTPUT_KIND.resolve()
    return params


def as_ordinary(outputs: list[Any], prompt_token_ids: list[int], output_kind: Any) -> list[Any]:
    """Return a turn's outputs (deltas) in the form that an ordinary request with this prompt and kind would have."""
    shown = [copy(output) for output in outputs]
    if output_kind is not _OUTPUT_KIND.resolve():
        shown = [copy(outputs[-1])]
        completion = copy(outputs[-1].outputs[0])
        completion.text = "".join(output.outputs[0].text for output in outputs)
        completion.token_ids = [token_id for output in outputs for token_id in output.outputs[0].token_ids]
        shown[0].outputs = [completion]
    last = shown[-1].outputs[0]
    if last.finish_reason != "stop" or [last.stop_reason] != list(outputs[-1].outputs[0].token_ids[-1:]):
        # The engine leaves an earlier turn's reason there.
        shown[-1].outputs = [copy(last)]
        shown[-1].outputs[0].stop_reason = None
    for output in shown:
        output.prompt_token_ids = list(prompt_token_ids)
        output.num_cached_tokens = outputs[0].num_cached_tokens
    shown[-1].finished = True
    return shown
