"""The stat logger precall_steps, loaded and called as vLLM does it."""

import logging

import pytest
import vllm
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.plugins import load_endpoint_plugins
from vllm.v1.metrics.loggers import StatLoggerManager, load_stat_logger_plugin_factories
from vllm.v1.metrics.stats import SchedulerIterationDetails, SchedulerStats
from vllm.v1.spec_decode.metrics import SpecDecodingStats

from tests.precall.engine.counted import counted


@pytest.fixture(autouse=True)
def only_steps(plugins, monkeypatch):
    monkeypatch.setenv("VLLM_PLUGINS", "precall_steps")


def manager(tiny_folder, has_details=True):
    args = AsyncEngineArgs(model=str(tiny_folder), enforce_eager=True, enable_logging_iteration_details=has_details)
    config = args.create_engine_config()
    return StatLoggerManager(config, custom_stat_loggers=load_stat_logger_plugin_factories())


def stats(num_context, num_generation, is_dummy=False):
    """A step with `num_generation` decoding sequences and one at its input if `num_context` is above 0."""
    return SchedulerStats(
        iteration_details=SchedulerIterationDetails(
            iteration_index=0,
            num_ctx_requests=min(num_context, 1),
            num_ctx_tokens=num_context,
            num_generation_requests=num_generation,
            num_generation_tokens=num_generation,
            elapsed_ms=1.0,
            is_dummy=is_dummy,
        )
    )


def test_steps_and_scheduled_tokens_are_those_of_the_scheduler(tiny_folder, vllm_log):
    loggers = manager(tiny_folder)
    with counted() as added:
        loggers.record(stats(264, 0), None)
        loggers.record(stats(78, 3), None)
        loggers.record(stats(0, 4), None)
        loggers.record(stats(0, 0, is_dummy=True), None)
        loggers.record(SchedulerStats(), None)
        loggers.record(None, None)
    assert added == {
        "precall_engine_steps_total": 3,
        "precall_decode_steps_total": 2,
        "precall_scheduled_context_tokens_total": 264 + 78,
        "precall_scheduled_generation_tokens_total": 3 + 4,
    }


def test_drafted_and_accepted_tokens_are_counted(tiny_folder):
    loggers = manager(tiny_folder)
    step = stats(0, 33)
    step.spec_decoding_stats = SpecDecodingStats.new(32)
    step.spec_decoding_stats.observe_draft(num_draft_tokens=30, num_accepted_tokens=30)
    step.spec_decoding_stats.observe_draft(num_draft_tokens=20, num_accepted_tokens=3)
    with counted() as added:
        loggers.record(step, None)
    assert added["precall_drafts_total"] == 2
    assert added["precall_drafted_tokens_total"] == 50
    assert added["precall_accepted_draft_tokens_total"] == 33


def test_vllms_log_gets_no_line_per_step_but_all_its_other_lines(tiny_folder, vllm_log):
    loggers = manager(tiny_folder)
    vllm_log.clear()
    loggers.record(stats(264, 0), None)
    assert "Iteration" not in vllm_log.text
    logging.getLogger("vllm.v1.metrics.loggers").info("%sanother line", "Engine 000: ")
    assert "another line" in vllm_log.text


def test_without_the_details_nothing_is_counted_and_the_log_is_left_alone(tiny_folder, vllm_log):
    loggers = manager(tiny_folder, has_details=False)
    with counted() as added:
        loggers.record(stats(264, 0), None)
    assert added == {}
    assert "Iteration(0)" in vllm_log.text


def test_another_vllm_is_not_counted_and_starts_all_the_same(tiny_folder, vllm_log, monkeypatch):
    monkeypatch.setattr(vllm, "__version__", "0.33.0")
    loggers = manager(tiny_folder)
    with counted() as added:
        loggers.record(stats(264, 0), None)
    assert added == {}
    assert "precall_steps counts nothing: vLLM is 0.33.0" in vllm_log.text


def test_it_loads_without_the_endpoint_plugin_and_the_endpoint_plugin_without_it(monkeypatch):
    assert [factory.__name__ for factory in load_stat_logger_plugin_factories()] == ["StepLogger"]
    assert load_endpoint_plugins(("generate",)) == []
    monkeypatch.setenv("VLLM_PLUGINS", "precall")
    assert load_stat_logger_plugin_factories() == []
    assert len(load_endpoint_plugins(("generate",))) == 1
