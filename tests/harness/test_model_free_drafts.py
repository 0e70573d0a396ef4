"""Drafts without a model: what they are made of, and an experiment with each in virtual time."""

import json
from pathlib import Path

import pytest

from harness import build
from harness.model_free_drafts import model_free_draft
from harness.run import run_experiments
from harness.schema import check
from precall.errors import ConfigError
from tests.harness.configs import compose, config_of

SMALL = ("scale=smoke", "backend=simulated", "tracker=disabled", "scale.num_blocks=1", "scale.num_agents=2")


@pytest.fixture(autouse=True)
def bench_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.bench.FOLDER", tmp_path / "bench")


def run(folder: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> tuple[list[dict], str]:
    """Run an experiment in virtual time and return its settings as its last line has them, and what it printed."""
    capsys.readouterr()
    run_experiments([compose(*SMALL, *overrides, f"output={folder}")])
    printed = capsys.readouterr()
    return json.loads(printed.out.splitlines()[-1])["settings"], printed.err


def test_an_oracle_has_the_share_of_calls_that_it_is_given_and_saves_what_the_cost_model_says(tmp_path, capsys):
    (none, every), _ = run(
        tmp_path, capsys, "experiment=oracle", "grid={draft.alpha:[0.0,1.0]}", "agent.tasks_per_agent=4"
    )
    assert (none["call_acceptance_rate"], every["call_acceptance_rate"]) == (0.0, 1.0)
    assert (none["draft"], none["draft_place"]) == ("oracle", "in_process")
    assert none["time_saved_pct"][1] == pytest.approx(0.0, abs=1e-6)
    assert every["time_saved_pct"][1] == pytest.approx(every["predicted_time_saved_pct"], abs=3.0)
    assert every["time_saved_pct"][1] > 20.0


def test_an_oracle_that_answers_late_saves_less(tmp_path, capsys):
    overrides = ("experiment=oracle", "grid={draft.alpha:[1.0]}", "agent.tasks_per_agent=4")
    (at_once, late), _ = run(tmp_path, capsys, *overrides, "+grid={draft.delay_s:[0.0,0.5]}")
    assert late["time_saved_pct"][1] < at_once["time_saved_pct"][1] - 5.0


def test_the_pattern_drafts_of_a_run_learn_from_each_other_and_cost_nothing(tmp_path, capsys):
    overrides = ("experiment=pattern", "agent.tasks_per_agent=12", "agent.num_agents=1")
    (setting,), _ = run(tmp_path, capsys, *overrides)
    assert setting["draft"] == "pattern"
    assert 0.0 < setting["call_acceptance_rate"] < 1.0
    metrics = [json.loads(file.read_text()) for file in tmp_path.glob("mean_g*/metrics.json")]
    assert metrics[0]["runs"]["spec-1"]["added_usd_per_100_turns"] == 0.0
    assert metrics[0]["runs"]["spec-1"]["call_acceptance_rate"] == metrics[0]["runs"]["spec-2"]["call_acceptance_rate"]


def test_the_adaptive_switch_stands_in_the_closing_table_beside_speculation_always_on(tmp_path, capsys):
    overrides = ("experiment=adaptive", "backend=simulated_two_cores", "agent.tasks_per_agent=4")
    settings, table = run(tmp_path, capsys, *overrides, "grid={workload.hit_rate:[0.0]}")
    assert [setting["is_adaptive"] for setting in settings] == [False, True]
    assert table.count("client, adaptive") == 1


def test_an_oracle_of_one_seed_is_right_in_the_same_calls():
    config = config_of("experiment=oracle", "scale=smoke")
    tasks = build.tasks_of(config, "block 0")
    make = model_free_draft(config, build.trajectories_of(config, tasks))
    assert make is not None
    assert type(make(tasks[0].task_id)).__name__ == "OracleDraft"
    assert model_free_draft(config_of("experiment=fig1"), {}) is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("draft=pattern", "draft.place=elsewhere"), "draft.kind is pattern and draft.place is elsewhere"),
        (("draft=elsewhere", "draft.place=in_process"), "draft.kind is model and draft.place is in_process"),
        (("draft=oracle", "draft.num_samples=3"), "draft.num_samples is 3 and draft.kind is oracle"),
        (("draft=oracle", "draft.alpha=1.5"), "draft.alpha is 1.5; it must be in"),
        (("draft=oracle", "draft.delay_s=-1"), "draft.delay_s is -1.0; it must be 0 or more"),
        (("draft=oracle", "model=pocket", "workload=pocket"), "draft.kind is oracle and model pocket is live"),
    ],
)
def test_a_draft_without_a_model_is_refused_where_it_cannot_be(overrides, message):
    with pytest.raises(ConfigError, match=message):
        check(config_of("experiment=colocated", *overrides))


def test_a_live_target_may_have_a_pattern_draft():
    check(config_of("experiment=pocket", "draft=pattern"))
