"""A simulated endpoint: who may post to which response, and what becomes of a request whose caller leaves."""

import asyncio

import pytest

from harness.backends.metrics_endpoint import STEPS
from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.model_server import SimulatedModelServer, SimulatedServerSettings
from harness.backends.simulated.rates import EngineLimits, EngineModel, StepRates
from harness.backends.simulated.server import SimulatedServer
from precall.errors import ConfigError
from precall.testing.virtual_time import run_virtual
from precall.tool_cache import ResponseAddress
from precall.wire import ToolOutput, post_body, post_path

MODEL = EngineModel(rates=StepRates(step_s=1.0, prefill_token_s=0.01), overhead_s=0.25)
BODY = post_body([ToolOutput(name="f", params={}, output="seen")])


def test_a_post_is_answered_as_the_tool_cache_answers_it_and_kept_for_the_response_that_lives():
    async def main():
        server, address, other = SimulatedServer(MODEL), ResponseAddress(), ResponseAddress()
        path = post_path(address.response_id)

        async def post(headers):
            status, _ = await server.post(path, BODY, headers, 1.0)
            return status, asyncio.get_running_loop().time()

        answers = [await post(address.headers)]
        response = server.open(address)
        answers += [await post(other.headers), await post(address.headers)]
        server.close(response)
        answers.append(await post(address.headers))
        return answers, [(output.text, expires_s) for output, expires_s in response.entries]

    answers, entries = run_virtual(main())
    assert answers == [(404, 0.5), (403, 1.0), (200, 1.5), (410, 2.0)]
    assert entries == [("seen", 1.25 + 60.0)]


def test_a_caller_that_is_cancelled_takes_its_sequence_with_it():
    async def main():
        server = SimulatedServer(MODEL)
        request = asyncio.create_task(server.generate((Segment("a", 100),), 50))
        await asyncio.sleep(10.5)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await asyncio.sleep(0.5)  # to the end of the step in flight
        return server.engine

    engine = run_virtual(main())
    assert engine.kv.num_held == 0
    assert engine.counts.num_steps == 10


def test_a_run_finds_an_engine_that_nobody_has_used_and_counters_of_its_own():
    async def main():
        server = SimulatedModelServer(SimulatedServerSettings(name="target", model=MODEL))
        counts = []
        for _ in range(2):
            sequence = await server.fresh().generate((Segment("a", 100),), 3)
            counts.append((sequence.num_cached_tokens, (await server.counters())[STEPS]))
        return counts

    assert run_virtual(main()) == [(0, 3), (0, 3)]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepRates(step_s=0.0), "step_s is 0"),
        (lambda: StepRates(step_s=1.0, sequence_s=-1.0), "sequence_s is -1.0; it must be 0 or more"),
        (lambda: StepRates(step_s=1.0, expert_share=1.5), "expert_share is 1.5; it must be at most 1"),
        (lambda: EngineLimits(block_size=0), "block_size is 0; it must be at least 1"),
        (lambda: EngineModel(rates=StepRates(step_s=1.0), overhead_s=float("inf")), "overhead_s is inf"),
    ],
)
def test_rates_and_limits_outside_their_rule_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_step_that_only_decodes_is_padded_to_the_next_size_and_one_with_a_prompt_is_not():
    rates = StepRates(step_s=1.0, sequence_s=1.0, padded_sizes=(1, 2, 4, 8))
    assert [rates.duration_s(num, 0.0) for num in (1, 3, 4, 5, 9)] == [2.0, 5.0, 5.0, 9.0, 10.0]
    assert rates.duration_s(3, 0.0, num_prompt_tokens=7) == 4.0
