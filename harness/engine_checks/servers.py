"""The servers of the stress run, alike but for plugin and proposer, and the same engine for stock sessions."""

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from tokenizers import Tokenizer

from harness import build
from harness.backends.engine_side import REPLAY_PROPOSER, with_engine_side
from harness.backends.vllm_settings import STOCK_MODULE, VllmServerSettings, environment
from harness.engine_checks.plans import BOUNDS, Plan
from harness.model_paths import CACHE
from harness.provenance import ROOT
from harness.replay.tiny_model import TinyArchitecture, make_tiny_model
from precall.errors import BackendError

MAX_MODEL_LEN = 1024
BLOCK_SIZE = 128
NUM_LONGEST = 4
"""How many sequences of the longest kind the KV cache holds."""
NUM_BLOCKS = NUM_LONGEST * MAX_MODEL_LEN // BLOCK_SIZE + 1  # one is vLLM's null block
MAX_NUM_SEQS = 32
NUM_DRAFT_TOKENS = 32
TOOL_S = 0.2
STALL_S = 20.0
STOCK_LIMIT_S = 300.0
PROMPT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def server_settings() -> tuple[VllmServerSettings, VllmServerSettings, VllmServerSettings]:
    """Return the settings of our server, of ours with drafts, and of the stock one."""
    node = OmegaConf.load(ROOT / "conf" / "model" / "replay_tiny.yaml")
    platform = build.installed_platform()
    cores, api_cores = build.split_cores() if platform == "cpu" else ((), ())
    ours = VllmServerSettings(
        name="ours",
        model=str(make_tiny_model(TinyArchitecture(**node.tiny), CACHE)),
        served_model_name="m",
        platform=platform,
        load_format="dummy",
        max_model_len=MAX_MODEL_LEN,
        max_num_seqs=MAX_NUM_SEQS,
        kv_cache_gib=1,
        cores=cores,
        api_cores=api_cores,
        logits_processors=(build.REPLAY_PLUGIN,),
        entry_module="precall.engine.serve",
        extra_args=("--block-size", str(BLOCK_SIZE), "--num-gpu-blocks-override", str(NUM_BLOCKS)),
    )
    bounds = [part for name, value in BOUNDS.items() for part in (f"--additional-config.precall.{name}", str(value))]
    stock = replace(ours, name="stock", entry_module=STOCK_MODULE)
    ours = replace(ours, extra_args=(*ours.extra_args, *bounds))
    drafting = with_engine_side(
        replace(ours, name="drafting"),
        is_residency=True,
        num_speculative_tokens=NUM_DRAFT_TOKENS,
        proposer=REPLAY_PROPOSER,
    )
    return ours, drafting, stock


def session_work(settings: VllmServerSettings, plans: list[Plan]) -> dict[str, Any]:
    """Return the work of stock_sessions: the turns of these plans as chunks of one session each."""
    tokenizer = Tokenizer.from_file(f"{settings.model}/tokenizer.json")

    def encode(text: str) -> list[int]:
        return tokenizer.encode(text, add_special_tokens=False).ids

    engine = {
        "model": settings.model,
        "load_format": settings.load_format,
        "max_model_len": settings.max_model_len,
        "max_num_seqs": settings.max_num_seqs,
        "block_size": BLOCK_SIZE,
        "num_gpu_blocks_override": NUM_BLOCKS,
        "enforce_eager": True,
        "logits_processors": list(settings.logits_processors),
        "distributed_executor_backend": "uni",
    }
    agents = []
    for plan in plans:
        told = ["go " * 150, *(turn.output for turn in plan.turns[:-1])]  # a prompt as long as that with the tools
        agents.append(
            [
                {"input": encode(PROMPT.format(text)), "output": encode(f"{turn.text}<|im_end|>")}
                for text, turn in zip(told, plan.turns, strict=True)
            ]
        )
    return {"engine": engine, "agents": agents, "tool_s": TOOL_S, "stall_s": STALL_S}


async def run_stock_sessions(settings: VllmServerSettings, plans: list[Plan], folder: Path) -> dict[str, Any]:
    """Run the plans on stock streaming sessions, in a process of their own; return what it says of them."""
    work = folder / "stock_sessions.json"
    work.write_text(json.dumps(session_work(settings, plans)), encoding="utf-8")
    log_path = folder / "stock_sessions.log"
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "harness.replay.stock_sessions", str(work)),
            cwd=ROOT,
            env=os.environ | environment(settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), STOCK_LIMIT_S)
        except TimeoutError:
            raise BackendError(
                f"Stock sessions took more than {STOCK_LIMIT_S:g} s. The whole log: {log_path}"
            ) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the engine core is a process of its own
            await process.wait()
    lines = [line for line in output.decode().splitlines() if line.startswith('{"stock_deadlocked"')]
    if process.returncode != 0 or not lines:
        raise BackendError(f"Stock sessions ended with status {process.returncode}. The whole log: {log_path}")
    return json.loads(lines[-1])
