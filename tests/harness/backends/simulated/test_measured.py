"""Rates from measured cells: cells made from known rates give them back."""

import numpy as np
import pandas as pd
import pytest

from harness.backends.simulated.measured import rates_of

STEP, SEQUENCE, PREFILL, OVERHEAD = 0.004, 0.0003, 0.0001, 0.005


def cells(sequence_s: float = SEQUENCE) -> pd.DataFrame:
    """Return ten cells of 8 agents with 2 tasks of a call each, at loads and prompts of their own."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(10):
        row = {"num_agents": 8, "num_confirmed": 16, "draft_s": 2 * OVERHEAD + 0.002 * 30}
        for arm in ("base", "spec"):
            num_decoding, per_request, num_steps = rng.uniform(2, 8), rng.uniform(200, 500), rng.uniform(800, 1200)
            per_step = 32 * per_request / num_steps
            tpot_s = STEP + sequence_s * num_decoding + PREFILL * per_step
            row |= {
                f"tpot_s_{arm}": tpot_s,
                f"ttft_s_{arm}": tpot_s / 2 + STEP + sequence_s * num_decoding + PREFILL * per_request + 2 * OVERHEAD,
                f"throughput_{arm}_tok_per_s": num_decoding / tpot_s,
                f"num_output_tokens_{arm}": 5000.0,
                f"scheduled_tokens_{arm}": 5000.0 + 32 * per_request,
                f"engine_steps_{arm}": num_steps,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def test_cells_give_back_the_rates_that_made_them():
    found = rates_of(cells(), tasks_per_agent=2, draft_tokens=30)
    assert (found.step_s, found.sequence_s) == pytest.approx((STEP, SEQUENCE))
    assert (found.prefill_token_s, found.overhead_s) == pytest.approx((PREFILL, OVERHEAD))
    assert (found.tpot_rms_pct, found.ttft_rms_pct) == pytest.approx((0.0, 0.0), abs=1e-6)
    mean_prompt = pd.concat([(cells()[f"scheduled_tokens_{arm}"] - 5000.0) / 32 for arm in ("base", "spec")]).mean()
    assert found.draft_step_s == pytest.approx((0.06 - PREFILL * mean_prompt) / 30)


def test_a_rate_that_would_be_negative_is_0():
    found = rates_of(cells(sequence_s=-0.00001), tasks_per_agent=2, draft_tokens=30)
    assert found.sequence_s == 0.0
    assert found.step_s == pytest.approx(STEP, rel=0.1)
