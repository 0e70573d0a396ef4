"""Which requests that opt in can be resident; the others run as ordinary ones. The table is in docs/residency.md."""

from typing import Any

from precall.engine.families import FAMILIES


def why_server_is_ordinary(handler: Any, vllm_config: Any, tool_parser: str | None, is_drafting: bool) -> str | None:
    """Return why no request of this server can be resident, or None. `is_drafting`: precall's proposer is loaded."""
    model, parallel = vllm_config.model_config, vllm_config.parallel_config
    model_type = model.hf_config.model_type
    is_gpt_oss = model_type == "gpt_oss"
    reasons = {
        f"the tool-call parser is {tool_parser!r}, tested are {', '.join(FAMILIES)}": tool_parser not in FAMILIES,
        "automatic tool choice is off": not handler.enable_auto_tools,
        "another kind of speculative decoding is on": vllm_config.speculative_config is not None and not is_drafting,
        "a KV connector is in use": vllm_config.kv_transfer_config is not None,
        f"the tool-call parser {tool_parser!r} is not that of {model_type}": is_gpt_oss != (tool_parser == "openai"),
        "the model is not a plain decoder": bool(
            model.is_hybrid or model.is_encoder_decoder or model.is_multimodal_model
        ),
        "the model has sliding-window attention and is not gpt-oss": bool(
            model.get_sliding_window() and not is_gpt_oss
        ),
        # Then vLLM puts its sliding-window layers into more than one group; see Admission.
        "the model is gpt-oss with an odd number of layers": is_gpt_oss and model.hf_config.num_hidden_layers % 2 == 1,
        # A session whose last step is under way when it is preempted is lost to the watchdog; pipelines have several.
        "pipeline parallelism is on": parallel.pipeline_parallel_size != 1,
        "context parallelism is on": (parallel.decode_context_parallel_size, parallel.prefill_context_parallel_size)
        != (1, 1),
    }
    return _first(reasons)


def why_request_is_ordinary(request: Any) -> str | None:
    """Return why this chat request cannot be resident, or None."""
    reasons = {
        "it declares no tools": not request.tools,
        "tool_choice is not auto": request.tool_choice not in (None, "auto"),
        "parallel_tool_calls is false": request.parallel_tool_calls is False,
        "n is above 1": (request.n or 1) != 1,
        "it uses beam search": bool(request.use_beam_search),
        "it has stop strings": bool(request.stop),
        "it asks for logprobs": bool(
            request.logprobs or request.top_logprobs or request.prompt_logprobs is not None or request.logprob_token_ids
        ),
        "it continues or echoes a message": bool(
            request.echo or request.continue_final_message or not request.add_generation_prompt
        ),
        "it asks for its prompt as text": bool(request.return_prompt_text),
        "it truncates its prompt": request.truncate_prompt_tokens is not None,
        "it has transfer parameters": bool(request.kv_transfer_params or request.ec_transfer_params),
        "it hides its reasoning": request.include_reasoning is False,
    }
    return _first(reasons)


def why_input_is_ordinary(prompt: Any, sampling_params: Any, lora_request: Any) -> str | None:
    """Return why a rendered request, as the chat handler passes it to the engine, cannot be resident, or None."""
    reasons = {
        "its prompt is not plain tokens": not isinstance(prompt, dict) or prompt.get("type") != "token",
        "it has a grammar": sampling_params.structured_outputs is not None,
        "it samples with a seed": sampling_params.seed is not None and sampling_params.temperature > 0,
        "it uses LoRA": lora_request is not None,
    }
    return _first(reasons)


def _first(reasons: dict[str, bool]) -> str | None:
    return next((reason for reason, holds in reasons.items() if holds), None)
