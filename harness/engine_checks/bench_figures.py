"""The figures of `bench`, from its rows: every one is a ratio to separate requests on a stock server."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.engine_checks.bench_arms import BASELINE
from harness.engine_checks.kept_rows import Row
from harness.metrics.statistics import block_interval, enclosed_noise_floor


def ratios(rows: Sequence[Row], arm: str, metric: str) -> list[float]:
    """Return an arm's metric over the mean of the block's two baselines, one per block."""
    found = []
    for block in sorted({row["block"] for row in rows}):
        of_block = [row for row in rows if row["block"] == block]
        baseline = [row[metric] for row in of_block if row["arm"] == BASELINE.name]
        (value,) = [row[metric] for row in of_block if row["arm"] == arm]
        found.append(value / (sum(baseline) / len(baseline)))
    return found


def noise_floor(rows: Sequence[Row]) -> float | None:
    """Return the half-width of the 95 % interval that the ratio of equal arms would have, None below two blocks. Blocks
    at several numbers of agents are pooled."""
    shares: list[float] = []
    for num_agents, block in sorted({(row["num_agents"], row["block"]) for row in rows}):
        of_block = [row for row in rows if (row["num_agents"], row["block"]) == (num_agents, block)]
        first, last = [row["throughput_tok_per_s"] for row in of_block if row["arm"] == BASELINE.name]
        shares.append((first - last) / (first + last))
    num_blocks = len({row["block"] for row in rows})
    return None if num_blocks < 2 else enclosed_noise_floor(shares, num_blocks)


def triple(values: Sequence[float]) -> list[float | None]:
    interval = block_interval(values)
    return [interval.low, interval.mid, interval.high]


def figures(rows: Sequence[Row], agents: Sequence[int]) -> dict[str, Any]:
    """Return the figures of one setting, all of them ratios to separate requests; what was not measured is absent."""
    by_agents = {num: [row for row in rows if row["num_agents"] == num] for num in agents}
    measured = {row["arm"] for row in rows}

    def of(metric: str, *names: str) -> dict[str, dict[str, list[float | None]]]:
        return {
            str(num): {name: triple(ratios(found, name, metric)) for name in names if name in measured}
            for num, found in by_agents.items()
        }

    arms = ("o3", "o3_o2", "separate_exact")
    result = {
        "tokens_per_s_ratio": of("throughput_tok_per_s", *arms, "stock_sync"),
        "noise_floor": noise_floor(rows),
        "noise_floor_by_agents": {str(num): noise_floor(found) for num, found in by_agents.items()},
        "scheduled_tokens_ratio": of("scheduled_tokens", *arms),
        "decode_steps_ratio": of("decode_steps", *arms),
        "cpu_s_ratio": of("cpu_s", *arms),
        "decode_steps_per_hit_call": decode_steps_per_call(by_agents.get(1, [])),
    }
    idle = "idle_proposer"
    if idle in measured:
        found = of("throughput_tok_per_s", idle)
        result["idle_proposer_ratio"] = {num: by_arm[idle] for num, by_arm in found.items()}
    return result


def decode_steps_per_call(rows: Sequence[Row]) -> dict[str, float] | None:
    """Return, for one agent, a call's mean tokens from its opener to the end of the turn, and the steps these took.

    One agent has a step for every token that is not drafted, and both arms with residency else take the same steps: the
    difference of their steps is what drafts saved.
    """
    steps = {arm: [row["engine_steps"] for row in rows if row["arm"] == arm] for arm in ("o3", "o3_o2")}
    if not rows:
        return None
    num_calls = rows[0]["num_calls"]
    num_tokens = rows[0]["num_call_tokens"] / num_calls
    saved = (sum(steps["o3"]) - sum(steps["o3_o2"])) / len(steps["o3"]) / num_calls
    return {"tokens": num_tokens, "steps": num_tokens - saved, "share": (num_tokens - saved) / num_tokens}


def print_table(found: dict[str, Any], setting: str, console: Console) -> None:
    """Print tokens per second of every arm against separate requests."""
    table = Table(title=f"Against separate requests on a stock server, replayed: {setting}")
    for name in ("agents", "arm", "tokens/s", "scheduled tokens", "decode steps", "CPU-s", "noise floor"):
        table.add_column(name, justify="left" if name == "arm" else "right", no_wrap=True)
    for num, arms in found["tokens_per_s_ratio"].items():
        floor = found["noise_floor_by_agents"][num]
        idle = found.get("idle_proposer_ratio", {}).get(num)
        for arm, ratio in {**arms, **({"idle_proposer": idle} if idle else {})}.items():
            others = [
                found[metric][num].get(arm)
                for metric in ("scheduled_tokens_ratio", "decode_steps_ratio", "cpu_s_ratio")
            ]
            table.add_row(
                num, arm, _text(ratio), *(_text(other) for other in others), "-" if floor is None else f"{floor:.3f}"
            )
    console.print(table)


def _text(ratio: Sequence[float | None] | None) -> str:
    if ratio is None:
        return "-"
    low, mid, high = ratio
    return f"{mid:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")
