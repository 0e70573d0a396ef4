"""The KV cache of a simulated engine, by hand: blocks of 4 tokens."""

from harness.backends.simulated.kv_cache import KVCache, Segment
from harness.backends.simulated.rates import EngineLimits


def cache(num_blocks=10, is_prefix_caching=True):
    return KVCache(limits=EngineLimits(block_size=4, num_blocks=num_blocks, is_prefix_caching=is_prefix_caching))


def bring(kv: KVCache, *path: Segment) -> int:
    """Compute a prompt and end; return how many of its tokens were cached."""
    nodes, num_cached = kv.match(path)
    kv.use(nodes)
    num_own = -(-sum(segment.num_tokens for segment in path) // 4) - num_cached // 4
    kv.take(num_own)
    num_own -= kv.keep(path, nodes)
    kv.give(num_own)
    kv.leave(nodes)
    assert kv.num_held == 0
    return num_cached


def test_a_prefix_is_found_in_full_blocks_and_never_the_last_token():
    kv = cache()
    assert bring(kv, Segment("a", 6), Segment("b", 4)) == 0
    assert kv.num_idle == 2  # a block of a, one that ends in b; the last two tokens are in none
    assert bring(kv, Segment("a", 6), Segment("b", 4)) == 8
    assert bring(kv, Segment("a", 6), Segment("c", 9)) == 4
    assert [bring(kv, Segment("whole", 8)) for _ in range(2)] == [0, 4]  # the last token is computed, with its block


def test_equal_keys_behind_different_prefixes_are_different_content():
    kv = cache()
    bring(kv, Segment("a", 8), Segment("x", 8))
    assert bring(kv, Segment("b", 8), Segment("x", 8)) == 0


def test_the_end_of_the_path_that_nobody_used_the_longest_goes_first():
    kv = cache(num_blocks=6)
    bring(kv, Segment("a", 8), Segment("b", 8))
    bring(kv, Segment("c", 8))
    assert kv.num_idle == 6
    bring(kv, Segment("d", 4))  # b's last block goes
    nodes, num_cached = kv.match((Segment("a", 8), Segment("b", 8), Segment("more", 4)))
    assert (num_cached, [node.num_kept for node in nodes]) == (12, [2, 1])
    bring(kv, Segment("e", 12))  # then b's first and a's two
    assert kv.match((Segment("a", 8), Segment("more", 4)))[1] == 0
    assert kv.match((Segment("c", 8), Segment("more", 4)))[1] == 8


def test_what_was_evicted_in_part_is_whole_again_when_it_has_been_computed():
    kv = cache(num_blocks=4)
    bring(kv, Segment("a", 12))
    bring(kv, Segment("b", 8))  # one block of a goes
    assert bring(kv, Segment("a", 12)) == 8
    assert kv.match((Segment("a", 12), Segment("more", 4)))[1] == 12


def test_content_in_use_is_shared_and_is_idle_only_when_the_last_user_has_left():
    kv = cache()
    path = (Segment("a", 8),)
    nodes, _ = kv.match(path)
    kv.take(2)
    kv.keep(path, nodes)
    other, num_cached = kv.match((*path, Segment("b", 4)))
    kv.use(other)
    assert (num_cached, kv.num_held, kv.num_idle) == (8, 2, 0)
    kv.leave(nodes)
    assert (kv.num_held, kv.num_idle) == (2, 0)
    kv.leave(other)
    assert (kv.num_held, kv.num_idle) == (0, 2)


def test_without_prefix_caching_nothing_is_kept():
    kv = cache(is_prefix_caching=False)
    bring(kv, Segment("a", 8))
    assert (kv.num_idle, bring(kv, Segment("a", 8))) == (0, 0)
