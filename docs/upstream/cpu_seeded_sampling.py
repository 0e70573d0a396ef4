"""vLLM 0.32.0, CPU build: a request that samples with a seed ends the engine when its prompt is computed in parts.

Needs vLLM alone, no weights. Exits with 0 if it was seen.

One prompt of 100 tokens, 64 tokens a step: greedy with a seed, sampled without one, sampled with one.
"""

import os
import sys
import tempfile

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "CRITICAL")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # the engine runs here, and its error is seen
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from transformers import Qwen3Config
from vllm import LLM, SamplingParams

REQUESTS = {
    "greedy, with a seed": SamplingParams(temperature=0.0, seed=1, max_tokens=2, detokenize=False),
    "sampled, without a seed": SamplingParams(temperature=1.0, max_tokens=2, detokenize=False),
    "sampled, with a seed": SamplingParams(temperature=1.0, seed=1, max_tokens=2, detokenize=False),
}


def make_engine(folder: str) -> LLM:
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
    return LLM(
        model=folder,
        load_format="dummy",
        dtype="float32",
        skip_tokenizer_init=True,
        enforce_eager=True,
        distributed_executor_backend="uni",
        enable_prefix_caching=False,
        max_model_len=256,
        max_num_seqs=8,
        max_num_batched_tokens=64,
    )


def main() -> int:
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        engine = make_engine(folder)
        for name, sampling in REQUESTS.items():
            try:
                engine.generate({"prompt_token_ids": [7] * 100}, sampling, use_tqdm=False)
                print(f"{name}: served")
            except RuntimeError as error:
                print(f"{name}: {error}")
                failures.append(name)
    is_seen = failures == ["sampled, with a seed"]
    print("reproduced" if is_seen else "not reproduced")
    return 0 if is_seen else 1


if __name__ == "__main__":
    sys.exit(main())
