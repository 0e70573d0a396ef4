"""Where jobs may run: no two at once on a machine whose time they measure."""

import pytest

from harness.cluster.places import check_shared_machine
from harness.experiment import experiments_of
from harness.jobs import jobs_of
from precall.errors import ConfigError
from tests.harness.configs import cells_of, compose


def check(*overrides: str) -> None:
    cells = cells_of(*overrides)
    check_shared_machine(jobs_of(cells), cells[0].config.jobs)


@pytest.mark.parametrize("place", ["joblib", "submitit_local"])
def test_jobs_that_measure_time_do_not_share_a_machine(place: str) -> None:
    with pytest.raises(ConfigError, match=rf"jobs\.place is {place}, which runs 2 jobs at once .*jobs=slurm"):
        check("experiment=wrong_draft", f"jobs={place}")


@pytest.mark.parametrize(
    "overrides",
    [
        ("experiment=wrong_draft", "jobs=slurm"),
        ("experiment=fig1", "jobs=submitit_local"),  # one job
        ("experiment=fig1", "jobs=joblib", "jobs.num_processes=1"),
        ("experiment=fig1", "backend=simulated", "jobs=joblib"),
    ],
)
def test_one_job_or_simulated_ones_or_those_of_a_cluster_may_run(overrides: tuple[str, ...]) -> None:
    check(*overrides)


def test_the_experiments_of_one_command_run_in_one_place() -> None:
    nodes = [compose("experiment=fig1", "jobs=joblib"), compose("experiment=multi_turn")]
    with pytest.raises(ConfigError, match=r"jobs is here for multi_turn and joblib for fig1"):
        experiments_of(nodes)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("jobs.num_processes=0", r"jobs\.num_processes is 0; it must be at least 1"),
        ("jobs.max_requeues=-1", r"jobs\.max_requeues is -1; it must be 0 or more"),
        ("jobs.signal_delay_s=3600", r"jobs\.signal_delay_s is 3600 and jobs\.timeout_min is 60; a job must have time"),
    ],
)
def test_a_setting_outside_its_rule_is_refused(override: str, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        cells_of("experiment=fig1", override)
