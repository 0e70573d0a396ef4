"""`backend=simulated`: an experiment's cells in virtual time, from configuration to table."""

import json
from pathlib import Path

import pytest

from harness.run import run_experiments
from harness.schema import check
from precall.errors import ConfigError
from tests.harness.configs import compose, config_of

SMALL = (
    "experiment=fig1",
    "scale=smoke",
    "backend=simulated",
    "tracker=disabled",
    "scale.num_blocks=1",
    "scale.num_agents=3",
    "scale.tasks_per_agent=1",
)


@pytest.fixture(autouse=True)
def bench_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.bench.FOLDER", tmp_path / "bench")


def run(folder: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> list[dict]:
    """Run the experiment and return its settings as its last line has them."""
    capsys.readouterr()
    run_experiments([compose(*SMALL, f"output={folder}", *overrides)])
    return json.loads(capsys.readouterr().out.splitlines()[-1])["settings"]


def test_a_simulated_experiment_says_that_its_numbers_are_modelled_and_saves_what_the_cost_model_predicts(
    tmp_path, capsys
):
    without, with_latency = run(tmp_path / "out", capsys, "scale.latencies=[0.0,1.0]")
    assert (without["origin"], with_latency["origin"]) == ("modelled", "modelled")
    assert without["time_saved_pct"][1] == pytest.approx(0.0, abs=1e-6)
    # The draft answers after its own time alone, and G is nearly that of the baseline.
    assert with_latency["time_saved_pct"][1] == pytest.approx(with_latency["predicted_time_saved_pct"], abs=3.0)
    assert with_latency["time_saved_pct"][1] > 5.0
    assert with_latency["num_identical"] is None


def test_the_engine_side_with_replicas_of_the_draft_is_simulated_and_the_same_seed_gives_the_same_numbers(
    tmp_path, capsys
):
    overrides = (
        *("speculation=engine", "draft.place=dedicated", "draft.num_replicas=2", "draft.num_samples=3"),
        *("scale.latencies=[0.5]", "workload.hit_rate=1.0"),
    )
    first, again = (run(tmp_path / name, capsys, *overrides) for name in ("first", "again"))
    assert first == again
    assert first[0]["executed_share"] == 1.0
    assert first[0]["steps_ratio"] < 1.0  # a drafted call takes one step


def test_an_adaptive_experiment_leaves_out_a_draft_that_is_always_wrong(tmp_path, capsys):
    overrides = (*("speculation.is_adaptive=true", "workload.hit_rate=0.0"), "scale.tasks_per_agent=20")
    run(tmp_path / "out", capsys, *overrides, "scale.latencies=[0.5]")
    written = [json.loads(file.read_text()) for file in (tmp_path / "out").glob("*/metrics.json")]
    (runs,) = (metrics["runs"] for metrics in written if "runs" in metrics)  # the others are calibrations
    assert 0.0 < runs["spec-1"]["drafted_share"] < 0.9
    assert runs["base-1"]["drafted_share"] is None
    assert runs["base-1"]["added_usd_per_100_turns"] == 0.0
    assert runs["spec-1"]["added_usd_per_100_turns"] is None  # no price is listed for it
    assert (runs["spec-1"]["fired_share"] or 0.0) > 0.0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("draft=colocated",),
            "draft.place is colocated, backend.kind is simulated and backend.simulated_core is not given",
        ),
        (("backend.simulated_draft=null",), "backend.simulated_target or backend.simulated_draft is not given"),
        (("model=gpt_oss_120b", "draft=xlam2_8b"), "model gpt_oss_120b is live"),
    ],
)
def test_what_cannot_be_simulated_is_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check(config_of("experiment=fig1", "backend=simulated", *overrides))
