"""Streaming-input sessions that wait for input starve new requests, and deadlock when they all go on.

Needs vLLM alone (0.32, V1 engine), no weights. Exits with 0 if both were seen.

16 usable KV blocks of 128 tokens; four sessions fill four blocks each and wait for their next chunk. A request that
needs one block gets none while they wait. Then each session receives a chunk for which it needs a fifth block.
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

BLOCK, NUM_SESSIONS, BLOCKS_EACH = 128, 4, 4
PATIENCE_S = 10.0


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
        block_size=BLOCK,
        num_gpu_blocks_override=1 + NUM_SESSIONS * BLOCKS_EACH,  # one is the null block
        max_model_len=8 * BLOCK,
        enable_prefix_caching=False,
    )
    return AsyncLLM.from_engine_args(arguments)


def tokens(num: int) -> dict:
    return {"prompt_token_ids": [7] * num}


def sampling(num: int) -> SamplingParams:
    return SamplingParams(temperature=0.0, max_tokens=num, ignore_eos=True, detokenize=False)


class Session:
    def __init__(self, engine: AsyncLLM, name: str) -> None:
        self.may_go_on, self.ended = asyncio.Event(), asyncio.Event()
        self.num_tokens = 0
        self.outputs = engine.generate(self.chunks(), sampling(4), name)

    async def chunks(self):
        yield StreamingInput(tokens(BLOCKS_EACH * BLOCK - 8), sampling(4))
        await self.may_go_on.wait()
        yield StreamingInput(tokens(40), sampling(4))
        await self.ended.wait()

    async def turn(self) -> None:
        """Read one turn: four tokens."""
        num = 0
        while num < 4:
            num += len((await anext(self.outputs)).outputs[0].token_ids[num:])
        self.num_tokens += num


async def observe() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(folder)
        try:
            sessions = [Session(engine, f"session-{index}") for index in range(NUM_SESSIONS)]
            await asyncio.gather(*(session.turn() for session in sessions))
            print(f"{NUM_SESSIONS} sessions have had a turn and wait for input; they hold all blocks")

            async def bystander() -> None:
                async for _ in engine.generate(tokens(20), sampling(4), "bystander"):
                    pass

            waiting = asyncio.create_task(bystander())
            starved = not (await asyncio.wait([waiting], timeout=PATIENCE_S))[0]
            print(f"a new request of 20 tokens: {'no token' if starved else 'served'} within {PATIENCE_S:.0f} s")

            for session in sessions:
                session.may_go_on.set()
            turns = [asyncio.create_task(session.turn()) for session in sessions]
            done, _ = await asyncio.wait([*turns, waiting], timeout=PATIENCE_S)
            deadlocked = not done
            print(f"all sessions go on: {len(done)} of {len(turns) + 1} requests have a turn after {PATIENCE_S:.0f} s")

            await engine.abort("session-0")
            done, _ = await asyncio.wait(turns[1:], timeout=PATIENCE_S)
            print(f"one session aborted: {len(done)} of the other {len(turns) - 1} have their turn")
            for task in (*turns, waiting):
                task.cancel()
            return starved and deadlocked
        finally:
            engine.shutdown()


if __name__ == "__main__":
    reproduced = asyncio.run(observe())
    print("reproduced" if reproduced else "not reproduced")
    sys.exit(0 if reproduced else 1)
