"""What the check finds: predicted beside measured time saved, setting by setting."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.metrics.statistics import Interval, block_interval

SETTING_COLUMNS = (
    *("experiment", "workload", "draft", "draft_place", "num_samples", "num_agents"),
    *("latency_mean_g", "latency_mean_s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingVerdict:
    """One setting: time saved in percent, measured (its interval is over blocks) and predicted (the mean over them),
    the standard error of what was measured, and whether the interval holds the prediction (None below two blocks)."""

    setting: str
    is_held_out: bool
    what: dict[str, Any]
    measured_pct: tuple[float | None, float | None, float | None]
    predicted_pct: float
    std_error_pct: float | None
    is_within: bool | None

    @property
    def mid_pct(self) -> float:
        """The mean over blocks of what was measured."""
        mid = self.measured_pct[1]
        assert mid is not None, "a setting has a block"
        return mid

    @property
    def error_points(self) -> float:
        return self.predicted_pct - self.mid_pct


def verdicts(rows: Sequence[Mapping[str, Any]]) -> list[SettingVerdict]:
    """Return a verdict per setting of the check's table, in its order."""
    by_setting: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_setting.setdefault(row["setting"], []).append(row)
    return [_verdict(blocks) for blocks in by_setting.values()]


def _verdict(blocks: Sequence[Mapping[str, Any]]) -> SettingVerdict:
    first = blocks[0]
    saved_pct = [block["time_saved_pct"] for block in blocks]
    measured = block_interval(saved_pct)
    predicted = fmean(block["simulated_time_saved_pct"] for block in blocks)
    return SettingVerdict(
        setting=first["setting"],
        is_held_out=first["is_held_out"],
        what={name: first[name] for name in SETTING_COLUMNS},
        measured_pct=(measured.low, measured.mid, measured.high),
        predicted_pct=predicted,
        std_error_pct=stdev(saved_pct) / sqrt(len(saved_pct)) if len(saved_pct) > 1 else None,
        is_within=_holds(measured, predicted),
    )


def _holds(interval: Interval, value: float) -> bool | None:
    if interval.low is None or interval.high is None:
        return None
    return interval.low <= value <= interval.high


def figures_of(settings: Sequence[SettingVerdict], noise_pct: Sequence[float]) -> dict[str, Any]:
    """Return the figures of the held-out settings; `noise_pct` is baseline against baseline of each of their cells.

    `measured_error_rms_points` is what the measured means are off by themselves, from the spread of their blocks: the
    rms that a prediction without error would have."""
    held_out = [each for each in settings if each.is_held_out]
    errors = [each.error_points for each in held_out]
    limits = [(low, high) for low, _, high in (each.measured_pct for each in held_out)]
    widths = [high - low for low, high in limits if low is not None and high is not None]
    std_errors = [each.std_error_pct for each in held_out if each.std_error_pct is not None]
    return {
        "num_settings": len(held_out),
        "num_within": sum(bool(each.is_within) for each in held_out),
        "rms_points": round(sqrt(fmean(error**2 for error in errors)), 2),
        "bias_points": round(fmean(errors), 2),
        "mean_half_width_points": round(fmean(widths) / 2.0, 2) if widths else None,
        "measured_error_rms_points": round(sqrt(fmean(each**2 for each in std_errors)), 2) if std_errors else None,
        "noise_rms_points": round(sqrt(fmean(value**2 for value in noise_pct)), 2),
    }


def print_table(settings: Sequence[SettingVerdict], console: Console) -> None:
    table = Table(title="Simulator against the real engine: time saved (%)")
    names = ("used for", "experiment", "draft", "place")
    numbers = ("samples", "agents", "T (s)", "measured", "predicted", "error", "within")
    for name in (*names, *numbers):
        table.add_column(name, justify="left" if name in names else "right", no_wrap=True)
    for each in settings:
        low, _, high = each.measured_pct
        table.add_row(
            "held out" if each.is_held_out else "calibration",
            str(each.what["experiment"]),
            str(each.what["draft"]),
            str(each.what["draft_place"]),
            str(each.what["num_samples"]),
            str(each.what["num_agents"]),
            f"{each.what['latency_mean_s']:.2f}",
            f"{each.mid_pct:.1f}" + ("" if low is None else f" [{low:.1f}, {high:.1f}]"),
            f"{each.predicted_pct:.1f}",
            f"{each.error_points:+.1f}",
            "-" if each.is_within is None else ("yes" if each.is_within else "no"),
        )
    console.print(table)


def as_json(settings: Sequence[SettingVerdict]) -> list[dict[str, Any]]:
    return [{**asdict(each), "error_points": each.error_points} for each in settings]
