"""One chunk that takes a streaming-input session past max_model_len ends the engine for everybody.

Needs vLLM alone (0.32, V1 engine), no weights. Exits with 0 if it was seen.

A session of 200 tokens in a model of 256 receives a chunk of 100 tokens more while another client's request runs.
"""

import asyncio
import os
import sys
import tempfile

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # lets the CPU build run the executor `uni`
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from transformers import Qwen3Config
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.engine.protocol import StreamingInput
from vllm.v1.engine.async_llm import AsyncLLM

MAX_MODEL_LEN = 256


def make_engine(folder: str) -> AsyncLLM:
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
    arguments = AsyncEngineArgs(
        model=folder,
        load_format="dummy",
        dtype="float32",
        skip_tokenizer_init=True,
        enforce_eager=True,
        distributed_executor_backend="uni",
        max_model_len=MAX_MODEL_LEN,
        max_num_seqs=8,
    )
    return AsyncLLM.from_engine_args(arguments)


def tokens(num: int) -> dict:
    return {"prompt_token_ids": [7] * num}


def sampling(num: int) -> SamplingParams:
    return SamplingParams(temperature=0.0, max_tokens=num, ignore_eos=True, detokenize=False)


async def observe() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(folder)
        try:
            has_room, bystander_runs = asyncio.Event(), asyncio.Event()

            async def chunks():
                yield StreamingInput(tokens(200), sampling(4))
                await has_room.wait()
                await bystander_runs.wait()
                yield StreamingInput(tokens(100), sampling(4))
                await asyncio.sleep(60)

            async def session() -> None:
                async for _ in engine.generate(chunks(), sampling(4), "session"):
                    has_room.set()

            async def bystander() -> None:
                await has_room.wait()
                async for _ in engine.generate(tokens(20), sampling(230), "bystander"):
                    bystander_runs.set()

            async def attempt(name: str, run) -> bool:
                """Say how a request ends; return whether the engine was dead."""
                try:
                    await asyncio.wait_for(run, timeout=30.0)
                    print(f"{name}: served")
                except TimeoutError:
                    print(f"{name}: nothing for 30 s")
                except Exception as error:  # whatever a client would see
                    print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}")
                return engine.errored

            await asyncio.gather(attempt("the session", session()), attempt("another client's request", bystander()))

            async def later() -> None:
                async for _ in engine.generate(tokens(20), sampling(4), "later"):
                    pass

            is_dead = await attempt("a request that comes later", later())
            print(f"the engine is {'dead' if is_dead else 'alive'}")
            return is_dead
        finally:
            engine.shutdown()


if __name__ == "__main__":
    reproduced = asyncio.run(observe())
    print("reproduced" if reproduced else "not reproduced")
    sys.exit(0 if reproduced else 1)
