"""`python -m harness.what_if`, on numbers, on a simulated run and on the published table."""

import json
import sys

import pytest

from harness.provenance import ROOT
from harness.run import run_experiments
from harness.what_if import __main__ as command
from harness.what_if.evidence import from_folders
from tests.harness.configs import compose

TABLE = str(ROOT / "results" / "published" / "local" / "fig1")
NUMBERS = ("--G", "2.0", "--T", "1.5")
DRAFT = ("--draft", "8B:g=0.3,alpha=0.6")


@pytest.fixture
def what_if(capsys, monkeypatch):
    """Return a function that runs the command and returns the object of its last line, and what it says to people."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["what_if", *map(str, arguments)])
        capsys.readouterr()
        command.main()
        captured = capsys.readouterr()
        return json.loads(captured.out.splitlines()[-1]), captured.err

    return run


def simulate(output, *, num_blocks, num_agents, tasks_per_agent):
    """Run fig1 at T/G = 0.7 in virtual time and return the folders of its blocks."""
    sizes = (f"scale.num_blocks={num_blocks}", f"scale.num_agents={num_agents}", f"output={output}")
    overrides = (*sizes, f"scale.tasks_per_agent={tasks_per_agent}", "scale.latencies=[0.7]", "tracker=disabled")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.bench.FOLDER", output / "bench")
        run_experiments([compose("experiment=fig1", "scale=smoke", "backend=simulated", *overrides)])
    return sorted(output.glob("mean_g_*"))


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulated"), num_blocks=2, num_agents=4, tasks_per_agent=3)


def test_numbers_by_hand_give_a_row_for_each_draft_and_number_of_samples_and_a_pick(what_if):
    found, said = what_if(
        *(*NUMBERS, "--answer", 1.0, "--turns", 6, "--agents", 8, "--samples", "1,3"),
        *("--draft", "8B:g=0.3,alpha=0.6,rho=0.5,tokens=40,dollars_per_mtok=0.4", "--draft", "1B:g=0.1,alpha=0.2"),
    )
    assert [(row["draft"], row["num_samples"]) for row in found["predictions"]] == [
        ("8B", 1),
        ("8B", 3),
        ("1B", 1),
        ("1B", 3),
    ]
    assert found["pick"] == {"draft": "8B", "num_samples": 3}
    assert (found["origin"], found["origin_of_inputs"], found["estimates"]) == ("modelled", "given", None)
    assert "Pick: 8B with 3 samples" in said


def test_the_rates_of_a_simulated_engine_are_found_again_in_the_events_of_one_agents_run(tmp_path):
    fitted = from_folders(simulate(tmp_path, num_blocks=1, num_agents=1, tasks_per_agent=8)).fit
    # conf/backend/simulated.yaml: a step, a token of a prompt, a message.
    assert fitted.decode_token_s.value == pytest.approx(0.00427)
    assert fitted.prefill_token_s.value == pytest.approx(0.000122, rel=0.02)
    assert fitted.overhead_s.value == pytest.approx(0.00442, rel=0.1)
    assert fitted.generation_s.origin == "modelled"
    assert fitted.sample_correlation.value is None
    assert fitted.beside_s.value is None


def test_the_fit_of_a_simulated_run_predicts_what_its_speculative_arm_saved(what_if, simulated):
    found, _ = what_if(*simulated)
    measured = [json.loads((cell / "metrics.json").read_text())["time_saved_pct"] for cell in simulated]
    (row,) = found["predictions"]
    assert row["time_saved_pct"] == pytest.approx(sum(measured) / 2, abs=2.0)
    assert row["low_pct"] < sum(measured) / 2 < row["high_pct"]
    assert row["time_saved_pct"] > 10.0


def test_a_table_of_cells_is_fitted_over_its_blocks(what_if):
    found, said = what_if(TABLE, "--setting", "b117945650", "--turns", 1)
    assert found["origin_of_inputs"] == "replayed"
    assert found["num_tasks"] == 4
    assert found["estimates"]["call_acceptance_rate"]["value"] == pytest.approx(0.796875)
    assert found["predictions"][0]["low_pct"] < 22.6 < found["predictions"][0]["high_pct"]
    assert "needs prefill_token_s" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*NUMBERS,), "no draft is given"),
        (("--G", "2.0", *DRAFT), "--T is missing; give a run's folder, or numbers"),
        (("--G", "0", "--T", "1", *DRAFT), "--G is 0; it must be above 0"),
        (("--G", "nan", "--T", "1", *DRAFT), "--G is nan; it must be at least 0, and finite"),
        ((*NUMBERS, "--turns", "0", *DRAFT), "--turns is 0; it must be at least 1"),
        ((*NUMBERS, "--samples", "1,0", *DRAFT), "--samples is '1,0'; it must be whole numbers"),
        ((*NUMBERS, *DRAFT, *DRAFT), "--draft 8B is there twice"),
        ((*NUMBERS, "--draft", "8B:g=0.3"), "alpha is missing; write --draft NAME:g="),
        ((*NUMBERS, "--draft", ":g=0.3,alpha=1"), "the name is missing"),
        ((*NUMBERS, "--draft", "8B:g=0.3,alpha=1.5"), "alpha is 1.5; it must lie between 0 and 1"),
        ((*NUMBERS, "--draft", "8B:g=-1,alpha=1"), "g is -1; it must be 0 or more"),
        ((*NUMBERS, "--draft", "8B:g=fast,alpha=1"), "g is 'fast'; it must be a number"),
        ((*NUMBERS, "--draft", "8B:g=1,g=2,alpha=1"), "g is there twice"),
        ((*NUMBERS, "--draft", "8B:h=1"), "h is no property of a draft; there are g, alpha, rho"),
        ((*NUMBERS, "--draft", "8B:g=1,alpha=1,servers=1.5"), "servers is 1.5; it must be a whole number"),
        ((*NUMBERS, "--draft", "run:tokens=3"), "no draft answered in the run"),
        ((*NUMBERS, "--setting", "x", *DRAFT), "--setting is x, and no folder is given"),
        ((TABLE,), "has 5 settings; one is needed. Set --setting to one of 604b051b2e"),
        ((TABLE, "--setting", "x", "--turns", "1"), "--setting is x; "),
        ((TABLE, "--setting", "b117945650"), "does not say how many calls a task has. Set --turns"),
        ((TABLE, TABLE), "2 folders are given, the first with a table"),
        ((TABLE, "--G", "1.0"), "--G is given beside a folder"),
        (("nowhere",), "nowhere is no folder"),
        ((ROOT / "docs",), "holds no finished run"),
    ],
)
def test_what_is_malformed_is_refused_with_the_remedy(what_if, arguments, message):
    with pytest.raises(SystemExit) as stop:
        what_if(*arguments)
    assert message in str(stop.value.code)


def test_cells_of_different_settings_are_not_mixed(what_if, simulated, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for file in simulated[0].iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = (other / "config.yaml").read_text().replace("num_agents: 4", "num_agents: 8")
    (other / "config.yaml").write_text(config)
    with pytest.raises(SystemExit) as stop:
        what_if(simulated[0], other)
    assert "is of another setting than" in str(stop.value.code)
