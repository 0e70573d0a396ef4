"""`python -m harness.backends.simulated.measured FOLDER --tasks-per-agent N [--latencies 0,2]`: the rates of simulated
engines from measured cells (FOLDER/cells.parquet, of a run or of results/published), as they stand in
conf/backend/simulated.yaml.

Per run, on the target, with b sequences decoding on average (throughput x TPOT), p prompt tokens computed per step, and
q prompt tokens computed per request, which waits for half of the step in flight:

    TPOT            = step_s + sequence_s b + prefill_token_s p
    TTFT - TPOT / 2 = step_s + sequence_s b + prefill_token_s q + 2 overhead_s

All cells together give the four rates by least squares, each equation over its mean. The draft alone left no such
numbers: its step is what its mean time leaves per token, with the target's prefill and overhead.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ARMS = ("base", "spec")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRates:
    """Rates in seconds, and the root mean square of what they leave of TPOT and TTFT, in percent of the means."""

    step_s: float
    sequence_s: float
    prefill_token_s: float
    overhead_s: float
    draft_step_s: float
    tpot_rms_pct: float
    ttft_rms_pct: float


def rates_of(frame: Any, *, tasks_per_agent: int, draft_tokens: float) -> MeasuredRates:
    """Return the rates of cells in which every task ends with one answer; `frame` is a table of harness/tables.py.
    `draft_tokens` are those of a sample.
    A rate that would be negative, because the cells differ too little to tell it from the others, is 0.
    """
    rows: Any = pd.concat([_arm(frame, arm, tasks_per_agent) for arm in ARMS], ignore_index=True)
    tpot_s, ttft_s = rows["tpot_s"].to_numpy(), rows["ttft_s"].to_numpy()
    wanted_s = np.concatenate([tpot_s, ttft_s - tpot_s / 2.0])
    nothing, ones = np.zeros(len(rows)), np.ones(len(rows))
    of_tpot = np.stack([ones, rows["num_decoding"], rows["prompt_tokens_per_step"], nothing], axis=1)
    of_ttft = np.stack([ones, rows["num_decoding"], rows["prompt_tokens_per_request"], 2.0 * ones], axis=1)
    equations = np.concatenate([of_tpot, of_ttft])
    weights = 1.0 / np.repeat([tpot_s.mean(), ttft_s.mean()], len(rows))
    solution = _non_negative(equations * weights[:, None], wanted_s * weights)
    step_s, sequence_s, prefill_token_s, overhead_s = (float(value) for value in solution)
    left = 100.0 * (equations @ solution - wanted_s) * weights
    draft_s = float(frame["draft_s"].dropna().mean())
    before_s = 2.0 * overhead_s + prefill_token_s * float(rows["prompt_tokens_per_request"].mean())
    return MeasuredRates(
        step_s=step_s,
        sequence_s=sequence_s,
        prefill_token_s=prefill_token_s,
        overhead_s=overhead_s,
        draft_step_s=(draft_s - before_s) / draft_tokens,
        tpot_rms_pct=float(np.sqrt(np.mean(left[: len(rows)] ** 2))),
        ttft_rms_pct=float(np.sqrt(np.mean(left[len(rows) :] ** 2))),
    )


def _non_negative(equations: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least-squares solution; the most negative unknown is set to 0 until none is left."""
    free = list(range(equations.shape[1]))
    solution = np.zeros(equations.shape[1])
    while free:
        found = np.linalg.lstsq(equations[:, free], wanted, rcond=None)[0]
        if found.min() >= 0.0:
            solution[free] = found
            break
        del free[int(found.argmin())]
    return solution


def _arm(frame: Any, arm: str, tasks_per_agent: int) -> Any:
    num_requests = frame["num_confirmed"] + frame["num_agents"] * tasks_per_agent
    num_inputs = frame[f"scheduled_tokens_{arm}"] - frame[f"num_output_tokens_{arm}"]
    columns = {
        "tpot_s": frame[f"tpot_s_{arm}"],
        "ttft_s": frame[f"ttft_s_{arm}"],
        "num_decoding": frame[f"throughput_{arm}_tok_per_s"] * frame[f"tpot_s_{arm}"],
        "prompt_tokens_per_request": num_inputs / num_requests,
        "prompt_tokens_per_step": num_inputs / frame[f"engine_steps_{arm}"],
    }
    return pd.DataFrame(columns).astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description="Rates of simulated engines from measured cells.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks-per-agent", type=int, required=True)
    parser.add_argument("--draft-tokens", type=float, default=40.0, help="tokens of one sample of the draft")
    parser.add_argument("--latencies", help="take the cells of these latencies alone, in multiples of G: 0,2")
    arguments = parser.parse_args()
    frame: Any = pd.read_parquet(arguments.folder / "cells.parquet")
    if arguments.latencies:
        frame = frame[frame["latency_mean_g"].isin([float(text) for text in arguments.latencies.split(",")])]
    found = rates_of(frame, tasks_per_agent=arguments.tasks_per_agent, draft_tokens=arguments.draft_tokens)
    printed: dict[str, Any] = {name: float(f"{value:.3g}") for name, value in asdict(found).items()}
    print(json.dumps({**printed, "cells": len(frame)}))


if __name__ == "__main__":
    main()
