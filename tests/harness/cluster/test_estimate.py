"""Estimates: by finished cells where there are some, by the calibrated simulator where there are none."""

import pytest

from harness.cluster.estimate import NUM_RUNS, START_S, _generation_s, estimate, total_text
from harness.jobs import jobs_of
from harness.progress import Pace
from tests.harness.configs import cells_of


def test_without_a_finished_cell_the_model_says_it_and_it_is_called_modelled(gpus: None) -> None:
    (job,) = jobs_of(cells_of("experiment=fig1_paper"))
    found = estimate(job, Pace())
    generation_s, answer_s = _generation_s(32)
    # Per task a call and an answer; latencies of 0 to 3 s have a mean of 1.5 s; 32 tasks, 4 runs, 35 cells.
    task_s = generation_s + 1.5 + answer_s
    assert found.seconds == pytest.approx(START_S + 35 * NUM_RUNS * 32 * task_s)
    assert found.gpu_hours == pytest.approx(4 * found.seconds / 3600)
    assert found.origin == "modelled"
    assert 10.0 < found.gpu_hours < 100.0


def test_finished_cells_say_it_for_all_and_it_is_called_measured(gpus: None) -> None:
    (job,) = jobs_of(cells_of("experiment=fig1_paper"))
    pace = Pace()
    pace.add(job.cells[0], 600.0)
    found = estimate(job, pace)
    assert (found.seconds, found.origin) == (START_S + 35 * 600.0, "measured")


def test_a_workload_whose_turns_nobody_knows_is_taken_to_need_all_of_them(gpus: None) -> None:
    (job,) = jobs_of(cells_of("experiment=swe", "scale.num_blocks=1"))
    generation_s, answer_s = _generation_s(8)
    one_cell_s = NUM_RUNS * (49 * generation_s + answer_s)
    assert estimate(job, Pace()).seconds == pytest.approx(START_S + len(job.cells) * one_cell_s)


def test_a_latency_in_multiples_of_G_is_one_of_the_modelled_G(gpus: None) -> None:
    of_the_paper = ("experiment=fig1", "scale=paper", "model=gpt_oss_120b", "draft=xlam2_8b")
    (job,) = jobs_of(cells_of(*of_the_paper, "scale.latencies=[1.0]", "scale.num_blocks=1"))
    generation_s, answer_s = _generation_s(32)
    one_cell_s = NUM_RUNS * 32 * (2 * generation_s + answer_s)
    assert estimate(job, Pace()).seconds == pytest.approx(START_S + one_cell_s)


def test_the_line_names_origin_jobs_time_and_gpu_hours(gpus: None) -> None:
    (job,) = jobs_of(cells_of("experiment=fig1_paper"))
    text = total_text([estimate(job, Pace())])
    assert text.startswith("estimate (modelled): jobs: 1, the longest ")
    assert text.endswith("GPU-hours")
