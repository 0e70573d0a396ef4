"""The paper's setting for the simulator: what it published, what is known of its models and machines, what is fitted.

Known (not fitted), with its source:
- Hit rates by draft and samples: the x values of figure 5, taken as given. The 8B draft's at 3, 5 and 7 samples are
  not in the figure; it has .977 with 1 and with 9.
- Lengths of prompts and calls: BFCL's four single-turn categories, in tokens. The result of a tool is a guess.
- gpt-oss-120b: 4 of 128 experts per token; 5.1e9 active parameters; 18 layers attend to the whole context, with 8 KV
  heads of 64 in 2 bytes. Drafts: parameters of the models that they were made from, in 2 bytes.
- A100-80GB: 2.04e12 bytes/s, 312e12 operations/s, of which prefill is taken to reach half. The draft reads its weights
  once a step.
- vLLM's CUDA graphs: batches of 1, 2, 4 and the multiples of 8; a smaller batch is padded.
- Latency: normal, standard deviation a fifth of the mean (conf/latency/normal.yaml); the paper does not give it.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.backends.simulated.rates import EngineModel, StepRates
from harness.backends.simulated.work import WorkModel
from harness.provenance import ROOT

FOLDER = ROOT / "results" / "paper"
NUM_REPLICAS = 3
RELATIVE_STD = 0.2
AGENTS = (1, 8, 32)
SAMPLES = (1, 3, 5, 7, 9)
DRAFTS = {"xLAM-2-1B": 1.54e9, "xLAM-2-3B": 3.09e9, "xLAM-2-8B": 8.03e9}
"""Parameters of the models that the drafts were made from."""
LARGEST = "xLAM-2-8B"

_BYTES_PER_S = 2.04e12
_PREFILL_OPERATIONS_PER_S = 156e12
_GRAPH_SIZES = (1, 2, 4, *range(8, 257, 8))


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperParameters:
    """What is fitted to the paper's figures: tokens that the target generates before a call and in an answer, and their
    relative standard deviation; seconds of a step of the target apart from its experts, and of reading all of those;
    seconds of a draft's step apart from its weights; seconds of a message between client and engine."""

    reasoning_tokens: float
    answer_tokens: float
    spread: float
    step_s: float
    experts_s: float
    draft_step_s: float
    overhead_s: float

    def work(self) -> WorkModel:
        return WorkModel(
            prompt_tokens=560.0,
            prompt_spread=0.87,
            reasoning_tokens=self.reasoning_tokens,
            answer_tokens=self.answer_tokens,
            spread=self.spread,
            call_tokens=38,
            result_tokens=40,
            draft_tokens=38,
        )

    def target(self) -> EngineModel:
        rates = StepRates(
            step_s=self.step_s,
            experts_s=self.experts_s,
            expert_share=4 / 128,
            context_token_s=18 * 2 * 8 * 64 * 2 / _BYTES_PER_S,
            prefill_token_s=2 * 5.1e9 / _PREFILL_OPERATIONS_PER_S,
            padded_sizes=_GRAPH_SIZES,
        )
        return EngineModel(rates=rates, overhead_s=self.overhead_s)

    def draft(self, name: str) -> EngineModel:
        num_parameters = DRAFTS[name]
        rates = StepRates(
            step_s=self.draft_step_s + 2 * num_parameters / _BYTES_PER_S,
            prefill_token_s=2 * num_parameters / _PREFILL_OPERATIONS_PER_S,
        )
        return EngineModel(rates=rates, overhead_s=self.overhead_s)


Row = Mapping[str, str]


def published(name: str) -> list[Row]:
    """Return the rows of one of the paper's figures, as text."""
    with (FOLDER / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def hit_rates() -> dict[tuple[str, int], float]:
    """Return figure 5's hit rate by draft and number of samples, those in between filled in (see above)."""
    rates = {
        (row["draft_model"], int(row["num_samples"])): float(row["hit_rate"])
        for row in published("fig5_hit_rate")
        if row["draft_model"] != "none"
    }
    for samples in SAMPLES:
        rates.setdefault((LARGEST, samples), rates[(LARGEST, 1)])
    return rates


def latencies_s() -> list[float]:
    """Return every mean tool latency of the figures, in seconds."""
    names = ("fig1_throughput", "fig6_time_saved_client", "fig8_client_vs_engine")
    return sorted({float(row["tool_latency_s"]) for name in names for row in published(name)})


def calibration_file() -> Path:
    return ROOT / "results" / "published" / "simulated" / "paper_calibration.json"
