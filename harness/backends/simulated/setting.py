"""How simulated agents work: by which method, with which tools and with how good a draft."""

from dataclasses import dataclass
from enum import Enum

from harness.backends.simulated.work import TurnWork


class Method(Enum):
    standard = "standard"
    client = "client"
    engine = "engine"  # O1, O2 and O3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How agents work: tool latency (normal, clipped at 0, in seconds), the share of calls that a turn's
    `num_samples` samples of the draft have between them, and how long the engine waits for a result on its way."""

    method: Method
    latency_mean_s: float
    latency_std_s: float
    hit_rate: float = 0.0
    num_samples: int = 1
    max_wait_s: float = 1.0

    def latency_s(self, turn: TurnWork) -> float:
        return max(0.0, self.latency_mean_s + self.latency_std_s * turn.latency_draw)
