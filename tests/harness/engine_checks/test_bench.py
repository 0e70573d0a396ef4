"""The figures of the engine's benches, worked out by hand."""

import math

import pytest

from harness.engine_checks.ablation import rates_of, work_of
from harness.engine_checks.bench_arms import ARMS, server_settings
from harness.engine_checks.bench_figures import decode_steps_per_call, figures, noise_floor, ratios
from harness.engine_checks.workload import KnownExecutor, make_workload
from harness.metrics.statistics import t_quantile
from precall.calls import canonical_key
from precall.tools import Effect

METRICS = ("throughput_tok_per_s", "scheduled_tokens", "decode_steps", "engine_steps", "cpu_s")


def row(arm, block, value, num_agents=1, **changes):
    counts = {"num_calls": 10, "num_call_tokens": 300}
    return {"arm": arm, "block": block, "num_agents": num_agents, **dict.fromkeys(METRICS, value), **counts} | changes


def block_of(block, first, last, num_agents=1, **arms):
    others = [row(arm.name, block, arms.get(arm.name, 100.0), num_agents) for arm in ARMS]
    return [row("separate", block, first, num_agents), *others, row("separate", block, last, num_agents)]


def test_an_arm_is_compared_with_the_mean_of_its_blocks_baselines():
    rows = [*block_of(0, 90.0, 110.0, o3=125.0), *block_of(1, 200.0, 200.0, o3=210.0)]
    assert ratios(rows, "o3", "throughput_tok_per_s") == [1.25, 1.05]


def test_the_noise_floor_is_that_of_equal_arms():
    rows = [*block_of(0, 90.0, 110.0), *block_of(1, 110.0, 90.0)]
    assert noise_floor(rows) == pytest.approx(t_quantile(0.975, 2) * math.sqrt(3) * 0.1 / math.sqrt(2))
    assert noise_floor(block_of(0, 90.0, 110.0)) is None


def test_steps_that_drafts_saved_are_shared_among_the_calls():
    rows = [row("o3", 0, 1000.0), row("o3_o2", 0, 720.0)]
    assert decode_steps_per_call(rows) == {"tokens": 30.0, "steps": 2.0, "share": pytest.approx(2 / 30)}


def test_every_figure_stands_by_agents_and_arm():
    found = figures([*block_of(0, 100.0, 100.0, o3=130.0), *block_of(1, 100.0, 100.0, o3=130.0)], (1,))
    assert found["tokens_per_s_ratio"]["1"]["o3"] == [1.3, 1.3, 1.3]
    assert found["idle_proposer_ratio"] == {"1": [1.0, 1.0, 1.0]}
    assert found["noise_floor"] == 0.0


def test_an_arm_that_was_not_measured_has_no_figure():
    rows = [row for row in block_of(0, 100.0, 100.0) if row["arm"] in ("separate", "o3", "o3_o2")]
    found = figures(rows, (1,))
    assert list(found["tokens_per_s_ratio"]["1"]) == ["o3", "o3_o2"]
    assert "idle_proposer_ratio" not in found


def test_the_rates_are_the_line_through_both_settings_of_prefix_caching():
    def baseline(is_cached, context_tokens, ttft_s, tpot_s):
        changes = {"is_prefix_caching": is_cached, "context_tokens": context_tokens, "num_turns": 10}
        sizes = {"prompt_tokens_per_trajectory": 5000.0, "output_tokens_per_trajectory": 400.0}
        return row("separate", 0, 1.0, ttft_s=ttft_s, tpot_s=tpot_s, **changes, **sizes)

    rows = [baseline(True, 1000, 0.03, 0.005), baseline(False, 10000, 0.21, 0.006)]
    rates = rates_of(rows, True)
    assert (rates.phi, rates.delta, rates.o) == pytest.approx((0.18 / 900, 0.005, (0.03 - 0.02) / 2))
    assert rates_of(rows, False).delta == 0.006
    work = work_of(rows, 0.5, 2)
    assert (work.num_requests, work.num_calls, work.fresh_context_tokens) == (5, 5, 500)
    assert (work.context_tokens, work.decoded_tokens, work.tool_s) == (5000, 400, 2.5)


async def test_the_workload_knows_what_every_call_of_its_trajectories_returns():
    workload = await make_workload(2, 2, seed=0)
    for task in workload.tasks:
        trajectory = workload.trajectories[task.task_id]
        executor = KnownExecutor(trajectory, 0.0)
        tools = {tool.name: tool for tool in task.make_tools()}
        assert {tool.effect for tool in tools.values()} == {Effect.PURE}
        assert {turn.user_turn for turn in trajectory.turns} == {0, 1}
        seen = {}
        for turn in (turn for turn in trajectory.turns if turn.calls):
            (call,), (recorded,) = turn.calls, turn.observations
            occurrence = seen.get(canonical_key(call), 0)
            seen[canonical_key(call)] = occurrence + 1
            assert (await executor(tools[call.name], call, occurrence)).content == recorded.content
            assert turn.draft_samples == ((call,),), "the oracle"


def test_the_servers_differ_in_what_their_names_say_alone():
    servers = server_settings(block_size=32, is_prefix_caching=False, kv_cache_gib=1)
    stock = servers["stock"]
    assert "--no-async-scheduling" in servers["sync"].extra_args
    for name, server in servers.items():
        assert server.extra_args[-2:] == ("--block-size", "32") or name == "sync"
        assert not server.enable_prefix_caching
        assert (server.model, server.max_num_seqs, server.cores) == (stock.model, stock.max_num_seqs, stock.cores)
        has_proposer = any("ReplayToolProposer" in argument for argument in server.extra_args)
        assert has_proposer == ("o2" in name) == (server.logits_processors == ())
        assert (server.entry_module == "precall.engine.serve") == (name not in ("stock", "sync"))
