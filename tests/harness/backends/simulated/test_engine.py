"""The simulated engine against timelines computed by hand: one second a step, .01 s for each prompt token."""

import random

import pytest

from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.rates import StepRates
from harness.backends.simulated.sequence import HOLD, Goes, Sequence, State
from precall.errors import ConfigError
from tests.harness.backends.simulated.engines import PLAIN, bench


def test_one_sequence_takes_its_prefill_step_and_a_step_for_each_further_token():
    world = bench()
    world.request(2.0, "a", num_prompt_tokens=10, num_tokens=4)
    world.run()
    assert world.log == [("a", 3.1, 6.1)]
    assert world.engine.counts.num_steps == 4


def test_a_second_sequence_waits_for_the_step_in_flight_and_slows_the_first_by_its_prefill():
    world = bench()
    world.request(0.0, "a", num_prompt_tokens=10, num_tokens=3)  # steps end at 1.1, 2.3 (b's prefill), 3.3
    world.request(0.5, "b", num_prompt_tokens=20, num_tokens=3)  # in the step from 1.1 to 2.3
    world.run()
    assert world.log == [("a", 1.1, 3.3), ("b", 2.3, 4.3)]


def test_an_arrival_in_a_long_stretch_ends_it_at_the_end_of_the_step_in_flight():
    world = bench()
    world.request(0.0, "a", num_prompt_tokens=10, num_tokens=100)  # first token at 1.1
    world.request(41.7, "b", num_prompt_tokens=50, num_tokens=1)  # the step in flight ends at 42.1
    world.run()
    assert world.log == [("b", 43.6, 43.6), ("a", 1.1, 100.6)]


def test_an_arrival_at_the_very_end_of_a_step_is_in_the_next():
    world = bench()
    world.request(0.0, "a", num_prompt_tokens=100, num_tokens=100)
    world.request(5.0, "b", num_prompt_tokens=100, num_tokens=1)
    world.run()
    assert world.log[0] == ("b", 7.0, 7.0)


def test_the_time_of_a_step_grows_with_the_sequences_and_with_the_context_that_they_attend_to():
    rates = StepRates(step_s=1.0, sequence_s=0.1, context_token_s=0.01)
    world = bench(rates)
    world.request(0.0, "a", num_prompt_tokens=10, num_tokens=3)
    world.run()
    # 1 for the prompt; then 1 + .1 + .01 x 10, and 1 + .1 + .01 x 11
    assert world.log == [("a", 1.0, pytest.approx(1.0 + 1.2 + 1.21))]


def test_an_arrival_while_contexts_grow_finds_the_step_in_flight():
    rates = StepRates(step_s=1.0, context_token_s=0.1)
    world = bench(rates)
    world.request(0.0, "a", num_prompt_tokens=10, num_tokens=50)  # steps end at 1, 3, 5.1, 7.3, 9.6
    world.request(5.2, "b", num_prompt_tokens=1, num_tokens=1)  # in the step from 7.3, where a's context has 13
    world.run()
    assert world.log[0] == ("b", pytest.approx(7.3 + 2.3), pytest.approx(7.3 + 2.3))


def test_a_mixture_of_experts_reads_those_that_its_tokens_pick():
    rates = StepRates(step_s=1.0, experts_s=8.0, expert_share=0.5)
    world = bench(rates)
    world.request(0.0, "a", num_prompt_tokens=2, num_tokens=2)
    world.run()
    assert world.log == [("a", 1 + 8 * 0.75, 1 + 8 * 0.75 + 1 + 8 * 0.5)]


def test_a_long_prompt_is_computed_in_chunks_in_the_room_that_decoding_leaves():
    world = bench(max_batched_tokens=11)
    world.request(0.0, "a", num_prompt_tokens=5, num_tokens=6)  # first token at 1.05, and decodes on beside b's chunks
    world.request(0.1, "b", num_prompt_tokens=25, num_tokens=1)  # 10 from 1.05, 10 from 2.15, 5 from 3.25 to 4.35
    world.request(0.2, "c", num_prompt_tokens=9, num_tokens=1)  # 5 in the room left there, 4 from 4.35 to 5.39
    world.run()
    assert world.log == [("b", 4.35, 4.35), ("c", 5.39, 5.39), ("a", 1.05, 6.39)]


def test_a_prompt_whose_beginning_is_cached_costs_the_rest_from_the_last_full_block():
    world = bench(block_size=4)
    tools, first, second = Segment("tools", 40), Segment("x", 7), Segment("y", 9)
    world.request(0.0, "a", 0, 1, path=(tools, first))
    world.request(10.0, "b", 0, 1, path=(tools, second))  # 40 of 49 tokens are there
    world.request(20.0, "c", 0, 1, path=(tools, first))  # 44 of 47: in full blocks, and the last is computed anew
    world.request(30.0, "d", 0, 1, path=(Segment("other", 40), first))
    world.run()
    assert world.log == [("a", 1.47, 1.47), ("b", 11.09, 11.09), ("c", 21.03, 21.03), ("d", 31.47, 31.47)]
    assert world.engine.counts.num_cached_tokens == 84


def test_without_prefix_caching_every_prompt_is_computed_as_a_whole():
    world = bench(block_size=4, is_prefix_caching=False)
    for start in (0.0, 10.0):
        world.request(start, "a", 0, 1, path=(Segment("tools", 40),))
    world.run()
    assert world.log == [("a", 1.4, 1.4), ("a", 11.4, 11.4)]


def test_what_a_sequence_generated_is_cached_for_the_next_request_of_its_conversation():
    world = bench(block_size=4)
    path = (Segment("task", 16),)
    world.request(0.0, "a", 0, 9, path=path)  # 16 + 8 tokens are in the cache: the last was never computed
    world.request(20.0, "b", 0, 1, path=(*path, Segment("a says", 9), Segment("observation", 5)))
    world.run()
    assert world.log[1] == ("b", 21.06, 21.06)


def test_the_prefix_that_was_used_the_longest_ago_makes_room():
    world = bench(block_size=4, num_blocks=10)
    for start, name in ((0.0, "a"), (10.0, "b"), (20.0, "a"), (30.0, "c"), (40.0, "a"), (50.0, "b")):
        world.request(start, name, 16, 1)
    world.run()
    # a and b take 4 blocks each. c's 4 make b give way by two, from its end, since a was used after it; a's last
    # repeat takes a third, since the last block of a prompt that is cached as a whole is computed anew.
    firsts = [first for _, first, _ in world.log]
    assert firsts == [1.16, 11.16, 21.04, 31.16, 41.04, 51.12]


def test_a_request_waits_in_the_queue_while_the_seats_are_taken():
    world = bench(max_num_seqs=2)
    for name, num_tokens in (("a", 10), ("b", 5), ("c", 1)):
        world.request(0.0, name, 100, num_tokens)
    world.run()
    # a's prefill to 2, b's to 4; b ends at 8, then c's to 10; a has had five steps by then, and 4 are left
    assert world.log == [("b", 4.0, 8.0), ("c", 10.0, 10.0), ("a", 2.0, 13.0)]


def test_a_request_waits_while_the_blocks_for_its_prompt_are_in_use():
    world = bench(block_size=4, num_blocks=10)
    world.request(0.0, "a", num_prompt_tokens=28, num_tokens=4)  # 7 blocks, 8 from its first decoded token: to 4.28
    world.request(0.1, "b", num_prompt_tokens=12, num_tokens=1)  # 3 blocks
    world.run()
    assert world.log == [("a", 1.28, 4.28), ("b", 5.4, 5.4)]


def test_when_blocks_run_out_the_last_to_come_gives_way_and_computes_everything_anew():
    world = bench(block_size=4, num_blocks=7, is_prefix_caching=False)
    world.request(0.0, "a", num_prompt_tokens=8, num_tokens=10)  # 2 blocks, 5 in the end
    world.request(0.1, "b", num_prompt_tokens=8, num_tokens=10)
    world.run()
    # a: 1.08, then beside b's prefill 2.16. Both hold 3 blocks until a's context reaches 12, at 5.16, and takes the
    # seventh; b's reaches 12 at 6.16: none is left. It gives way with 5 tokens said, and waits for a, which ends at
    # 10.16 (1.08, 2.16, then 8 steps). Then 13 tokens anew, to 11.29, and 4 more.
    assert world.log == [("a", 1.08, 10.16), ("b", 2.16, 15.29)]
    assert world.engine.counts.num_preemptions == 1


def test_a_result_that_is_put_in_costs_its_own_tokens_and_nothing_of_the_context():
    world = bench()
    turns = iter([Goes(num_tokens=2, num_input_tokens=31), None])
    world.request(0.0, "a", num_prompt_tokens=500, num_tokens=3, follows=lambda *_: next(turns))
    world.run()
    # first token at 6, the turn's end at 8; 31 tokens: 1.31; one token more
    assert world.log == [("a", 6.0, 8.0), ("a", 6.0, pytest.approx(10.31))]
    assert world.engine.counts.num_input_tokens == 531


def test_a_sequence_that_goes_on_without_input_decodes_on_as_if_nothing_had_been():
    world = bench()
    turns = iter([Goes(num_tokens=4), None])
    world.request(0.0, "a", num_prompt_tokens=100, num_tokens=3, follows=lambda *_: next(turns))
    world.request(0.0, "b", num_prompt_tokens=100, num_tokens=7)
    world.run()
    assert world.log == [("a", 2.0, 5.0), ("a", 2.0, 9.0), ("b", 4.0, 10.0)]


def test_a_held_sequence_keeps_its_context_and_leaves_the_batch():
    rates = StepRates(step_s=1.0, sequence_s=0.5, prefill_token_s=0.01)
    world = bench(rates)
    turns, made = iter([HOLD, None]), []
    world.request(0.0, "a", num_prompt_tokens=100, num_tokens=1, follows=lambda *_: next(turns), made=made)
    world.request(4.0, "b", num_prompt_tokens=100, num_tokens=3)  # alone: 2 + 1.5 + 1.5
    world.at(20.0, lambda: world.engine.resume(20.0, made[0], Goes(num_tokens=2, num_input_tokens=11)))
    world.run()
    assert world.log == [("a", 2.0, 2.0), ("b", 6.0, 9.0), ("a", 2.0, pytest.approx(20.0 + 1.11 + 1.5))]


def test_a_resident_sequence_that_misses_leaves_its_context_to_the_prefix_cache():
    world = bench(block_size=4)
    turns = iter([Goes(num_tokens=4, num_input_tokens=9, input_key="seen", key="more"), None])
    world.request(0.0, "a", num_prompt_tokens=16, num_tokens=4, follows=lambda *_: next(turns))
    path = (Segment("a", 16), Segment("a says", 4), Segment("seen", 8), Segment("more", 4), Segment("new", 4))
    world.request(50.0, "b", 0, 1, path=path)  # 16 + 4 + 8 + 3 of 36 are there, in blocks of 4
    world.run()
    assert world.log[-1] == ("b", 51.08, 51.08)


def test_an_aborted_sequence_is_in_the_step_in_flight_and_in_no_other():
    rates = StepRates(step_s=1.0, sequence_s=1.0)
    world = bench(rates)
    made: list[Sequence] = []
    world.request(0.0, "a", 1, 100, made=made)
    world.request(0.0, "b", 1, 4)  # from 1 (a alone), first token at 3 beside a, then a step of both to 6, then alone
    world.at(4.5, lambda: world.engine.abort(4.5, made[0]))
    world.run()
    assert world.log == [("b", 3.0, 6.0 + 2.0 + 2.0)]
    assert world.engine.kv.num_held == 0


def test_samples_of_one_prompt_share_its_prefill_and_decode_side_by_side():
    rates = StepRates(step_s=1.0, sequence_s=0.5, prefill_token_s=0.01)
    world = bench(rates)
    world.request(0.0, "a", num_prompt_tokens=100, num_tokens=3, num_samples=4)
    world.run()
    assert world.log == [("a", 2.0, 2.0 + 3.0 + 3.0)]


def test_a_request_that_no_engine_of_this_size_could_hold_is_refused():
    world = bench(block_size=4, num_blocks=10)
    world.request(0.0, "a", num_prompt_tokens=40, num_tokens=1)
    with pytest.raises(ConfigError, match="needs 11 KV blocks"):
        world.run()


@pytest.mark.parametrize("num_blocks", [60, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_under_any_load_every_request_ends_unless_it_is_aborted_and_no_block_is_lost(seed, num_blocks):
    rng = random.Random(seed)
    rates = StepRates(step_s=1.0, sequence_s=0.02, context_token_s=1e-4, prefill_token_s=0.001)
    world = bench(rates, block_size=4, num_blocks=num_blocks, max_num_seqs=6, max_batched_tokens=32)
    wanted, aborted = set(), set()

    def leave(name: str, made: list[Sequence], time_s: float) -> None:
        if made and made[0].state is not State.ENDED:
            aborted.add(name)
            world.engine.abort(time_s, made[0])

    for index in range(60):
        name, start_s, made = f"r{index}", rng.uniform(0, 300), []
        path = (Segment(rng.randrange(3), 20), Segment(f"p{index}", rng.randrange(1, 40)))
        turns = iter(rng.choice(([None], [Goes(num_tokens=3, num_input_tokens=5), None], [HOLD])))
        world.request(start_s, name, 0, rng.randrange(1, 60), lambda *_, t=turns: next(t), path=path, made=made)
        wanted.add(name)
        end_s = start_s + rng.uniform(0, 400)
        world.at(end_s, lambda each=(name, made, end_s): leave(*each))
    world.run()
    ended = {name for name, _, _ in world.log}
    assert wanted - ended <= aborted
    assert len(aborted) < len(wanted)
    engine = world.engine
    assert engine.kv.num_held == 0
    assert engine.kv.num_idle <= num_blocks
    assert (engine.counts.num_preemptions > 0) == (num_blocks == 60)


def test_the_work_of_a_turn_does_not_grow_with_the_agents():
    """Boundaries per request, at 1, 32 and 1024 requests at once on engines that hold 64, each with a thousand
    tokens to say."""
    events = {}
    for num_agents in (1, 32, 1024):
        world = bench(PLAIN, max_num_seqs=64)
        rng = random.Random(0)
        for index in range(num_agents):
            world.request(rng.uniform(0, 1000), f"{index}", 50, rng.randrange(500, 1500))
        world.run()
        assert len(world.log) == num_agents
        events[num_agents] = world.engine.counts.num_events / num_agents
    assert max(events.values()) <= 3.0, events
