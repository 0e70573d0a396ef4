"""With speculative decoding, what a streaming-input session keeps of a turn depends on who proposed its last token.

Needs vLLM alone (0.32, V1 engine, Model Runner V1), no weights. Exits with 0 if it was seen.

Two sessions get the same chunks and generate the same tokens. For the first nothing is drafted; for the second the
proposer of this file drafts what the first generated, and it is accepted. Between the chunks the engine drops the last
token of the first session and keeps that of the second, so the worker holds different contexts.
"""

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# The engine's process imports the proposer from this file.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # lets the CPU build run the executor `uni`
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("VLLM_USE_V2_MODEL_RUNNER", "0")

FIRST_CHUNK, ADDED = [11, 12, 13, 14, 15, 16], [21, 22]
NUM_TOKENS = 3


class Proposer:
    """Drafts the tokens in the file `drafts`, if there is one, after a turn's first token; writes down the rows."""

    def __init__(self, vllm_config) -> None:
        self.folder = Path(os.environ["UPSTREAM_FOLDER"])

    def load_model(self, *_, **__) -> None:
        pass

    def propose(self, sampled_token_ids, num_tokens_no_spec, token_ids_cpu, **_):
        drafts_file = self.folder / "drafts"
        drafts = json.loads(drafts_file.read_text()) if drafts_file.exists() else []
        proposed = []
        for row, sampled in enumerate(sampled_token_ids):
            token_ids = token_ids_cpu[row, : num_tokens_no_spec[row]].tolist()
            if sampled:
                with (self.folder / "rows").open("a") as file:
                    file.write(json.dumps(token_ids) + "\n")
            is_first = bool(sampled) and len(token_ids) == len(FIRST_CHUNK) + 1
            proposed.append(drafts if is_first else [])
        return proposed


def make_engine(folder: str):
    from transformers import Qwen3Config
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    config = Qwen3Config(
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=64,
        intermediate_size=64,
        vocab_size=512,
        architectures=["Qwen3ForCausalLM"],
    )
    config.save_pretrained(folder)
    speculative = {"method": "custom_class", "model": f"{Path(__file__).stem}.Proposer", "num_speculative_tokens": 2}
    arguments = AsyncEngineArgs(
        model=folder,
        load_format="dummy",
        dtype="float32",
        skip_tokenizer_init=True,
        enforce_eager=True,
        distributed_executor_backend="uni",
        max_model_len=256,
        max_num_seqs=8,
        speculative_config=speculative,
    )
    return AsyncLLM.from_engine_args(arguments)


async def run_session(engine, name: str, folder: Path) -> tuple[list[int], list[int]]:
    """Return what the first turn generated, and the context on which the worker ran the second."""
    from vllm import SamplingParams
    from vllm.engine.protocol import StreamingInput
    from vllm.sampling_params import RequestOutputKind

    params = SamplingParams(temperature=0.0, max_tokens=NUM_TOKENS, ignore_eos=True, detokenize=False)
    params.output_kind = RequestOutputKind.DELTA
    generated: list[int] = []
    has_turn = asyncio.Event()
    (folder / "rows").unlink(missing_ok=True)

    async def chunks():
        yield StreamingInput({"prompt_token_ids": list(FIRST_CHUNK)}, params)  # vLLM extends the list it is given
        await has_turn.wait()
        # The last token is sent again, as a client must whose session drops it.
        yield StreamingInput({"prompt_token_ids": [generated[-1], *ADDED]}, params)

    num = 0
    async for output in engine.generate(chunks(), params, name):
        token_ids = list(output.outputs[0].token_ids)
        num += len(token_ids)
        if num <= NUM_TOKENS:
            generated += token_ids
        if num == NUM_TOKENS:
            has_turn.set()
    rows = [json.loads(line) for line in (folder / "rows").read_text().splitlines()]
    # The worker's row when the second chunk has led to its first token, without that token.
    return generated, next(row[:-1] for row in rows if row[-3:-1] == ADDED)


async def observe() -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["UPSTREAM_FOLDER"] = name
        engine = make_engine(name)
        try:
            generated, without = await run_session(engine, "nothing-drafted", folder)
            (folder / "drafts").write_text(json.dumps(generated[1:]))
            again, with_drafts = await run_session(engine, "drafts-accepted", folder)
        finally:
            engine.shutdown()
    expected = [*FIRST_CHUNK, *generated, *ADDED]
    print(f"first turn: {generated} without drafts, {again} with accepted drafts")
    print(f"second chunk, in both: {[generated[-1], *ADDED]}")
    print(f"expected context of the second turn: {expected}")
    print(f"nothing drafted, the worker held:    {without}")
    print(f"drafts accepted, the worker held:    {with_drafts}")
    return generated == again and without == expected and with_drafts != expected


if __name__ == "__main__":
    reproduced = asyncio.run(observe())
    print("reproduced" if reproduced else "not reproduced")
    sys.exit(0 if reproduced else 1)
