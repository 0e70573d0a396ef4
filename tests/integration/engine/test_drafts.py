"""O2 on the real engine: drafted calls change how many steps are taken, and nothing that is generated."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import torch
from tokenizers import Tokenizer

from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.model_paths import model_path
from harness.replay.context_recorder import FILE
from tests.harness.configs import config_of
from tests.integration.engine.reacting_model import make_reacting_model
from tests.integration.engine.sequences import KEY, TOOLS, metric
from tests.integration.engine.test_resident import check_token_identity

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]

MAX_MODEL_LEN = 2048
ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
DRAFTED = "vllm:spec_decode_num_draft_tokens_total"
ENTRY = {"name": "f", "params": {"x": 12, "text": "alpha beta gamma"}, "output": "1"}
CALL = '<tool_call>\n{"name": "f", "arguments": {"x": 12, "text": "alpha beta gamma"}}\n</tool_call><|im_end|>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def drafting_server(tmp_path_factory: pytest.TempPathFactory, context_file: Path) -> AsyncIterator[VllmServer]:
    folder = tmp_path_factory.mktemp("drafting")
    model = make_reacting_model(Path(model_path(config_of().model)), folder / "reacting")
    proposer = "tests.integration.engine.recording_proposer.RecordingProposer"
    speculative = {"method": "custom_class", "model": proposer, "num_speculative_tokens": 64}
    settings = VllmServerSettings(
        name="drafting",
        model=str(model),
        served_model_name="m",
        platform="cpu",
        dtype="float32",
        max_model_len=MAX_MODEL_LEN,
        max_num_seqs=20,
        kv_cache_gib=1,
        entry_module="precall.engine.serve",
        extra_args=(
            *("--api-key", "the key", "--speculative-config", json.dumps(speculative)),
            *("--worker-extension-cls", "precall.engine.proposer.ToolProposerExtension"),
        ),
        env=((FILE, str(context_file)),),
    )
    async with VllmServer(settings, log_folder=folder) as server:
        yield server


@pytest.fixture
def root(drafting_server: VllmServer) -> str:
    return drafting_server.base_url.removesuffix("/v1")


@pytest.fixture(scope="module")
def tokenizer(drafting_server: VllmServer) -> Tokenizer:
    return Tokenizer.from_file(str(Path(drafting_server.settings.model) / "tokenizer.json"))


async def ask(client: httpx.AsyncClient, root: str, name: str, entries: list, **body) -> list[int]:
    """Send a request for which `entries` were posted and return its tokens."""
    headers = KEY | {"X-Request-Id": name, "X-Precall-Secret": f"the secret of request {name}"}
    if entries:
        posted = await client.post(f"{root}/cache-tool-output/chatcmpl-{name}", json=entries, headers=headers)
        assert posted.json() == {"cached": len(entries)}
    sent = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": TOOLS, "return_token_ids": True}
    answer = await client.post(f"{root}/v1/chat/completions", json=sent | body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]["token_ids"]


async def test_resident_sequences_with_drafts_are_token_identical_to_separate_requests(
    drafting_server, root, context_file
):
    async with httpx.AsyncClient() as client:
        before = await metric(client, root, ACCEPTED)
        await check_token_identity(drafting_server, context_file)
        assert await metric(client, root, ACCEPTED) - before > 300


async def test_a_cached_call_takes_one_pass_from_its_opener(root, tokenizer):
    """The step of the opener, then one that accepts all the rest of the call and samples the end of the turn."""
    forced = tokenizer.encode(f"alpha beta{CALL}", add_special_tokens=False).ids
    num_words = forced.index(tokenizer.token_to_id("<tool_call>"))
    body = {"max_tokens": 100, "temperature": 0, "vllm_xargs": {"replay_token_ids": forced}, "tool_choice": "none"}
    async with httpx.AsyncClient(timeout=60) as client:
        names = (ACCEPTED, DRAFTED, "vllm:spec_decode_num_drafts_total")
        before = [await metric(client, root, name) for name in names]
        assert await ask(client, root, "one-pass", [ENTRY], **body) == forced
        changes = [await metric(client, root, name) - old for name, old in zip(names, before, strict=True)]
    num_drafted = len(forced) - num_words - 2  # all but the opener and the end of the turn
    assert num_drafted >= 25
    assert changes == [num_drafted, num_drafted, 1]


async def test_drafts_leave_what_is_generated_greedily_as_it_is(root, tokenizer):
    """From the opener on the target says what it likes: wrong drafts are rejected, and leave nothing behind."""
    async with httpx.AsyncClient(timeout=120) as client:
        before = await metric(client, root, DRAFTED)
        asked = []
        for entries in ([ENTRY], []):
            for index in range(12):
                prefix = tokenizer.encode("alpha " * index + "<tool_call>", add_special_tokens=False).ids
                body = {"max_tokens": len(prefix) + 40, "temperature": 0, "vllm_xargs": {"replay_token_ids": prefix}}
                asked.append(ask(client, root, f"greedy-{index}-{len(entries)}", entries, **body, stop_token_ids=[2]))
        found = await asyncio.gather(*asked)
        assert await metric(client, root, DRAFTED) - before > 12 * 10
    assert found[:12] == found[12:]
    assert len({tuple(tokens) for tokens in found[:12]}) == 12, "the weights react to their input"


async def test_drafts_leave_the_distribution_of_samples_as_it_is(root, tokenizer):
    """Two-sample chi-square over the two tokens after the opener, from a vocabulary of eight, the draft's own."""
    (opener,) = tokenizer.encode("<tool_call>", add_special_tokens=False).ids
    vocabulary = tokenizer.encode('\n{"name": "f"', add_special_tokens=False).ids
    num_samples = 1000
    body = {"max_tokens": 3, "temperature": 2.0, "vllm_xargs": {"replay_token_ids": [opener]}}
    async with httpx.AsyncClient(timeout=120) as client:
        room = asyncio.Semaphore(20)

        async def sample(name: str, entries: list, seed: int) -> tuple[int, ...]:
            async with room:
                allowed = [opener, *vocabulary]
                tokens = await ask(client, root, name, entries, **body, seed=seed, allowed_token_ids=allowed)
            return tuple(tokens[1:])

        before = await metric(client, root, ACCEPTED)
        drafted = await asyncio.gather(*(sample(f"drafted-{i}", [ENTRY], i) for i in range(num_samples)))
        assert await metric(client, root, ACCEPTED) - before > 130, "drafts are accepted, and most are rejected"
        plain = await asyncio.gather(*(sample(f"plain-{i}", [], num_samples + i) for i in range(num_samples)))
    assert chi_square_p(Counter(drafted), Counter(plain)) > 0.001
    biased = [*plain[:-150], *[tuple(vocabulary[:2])] * 150]
    assert chi_square_p(Counter(biased), Counter(plain)) < 0.001, "15 % of samples that follow the draft show"


def chi_square_p(first: Counter, second: Counter) -> float:
    """Return the probability of a difference at least as large if both samples, of one size, have one distribution."""
    common = [cell for cell in first | second if first[cell] + second[cell] >= 10]
    rest = [cell for cell in first | second if cell not in common]
    pairs = [(first[cell], second[cell]) for cell in common]
    pairs.append((sum(first[cell] for cell in rest), sum(second[cell] for cell in rest)))
    pairs = [(a, b) for a, b in pairs if a + b]
    statistic = sum((a - b) ** 2 / (a + b) for a, b in pairs)
    assert len(pairs) > 5, f"{len(pairs)} cells say little"
    return float(torch.special.gammaincc(torch.tensor((len(pairs) - 1) / 2), torch.tensor(statistic / 2)))


async def test_a_sequence_that_reaches_the_longest_length_does_not_end_the_engine(root, tokenizer):
    """There vLLM stops asking a proposer, in a way that one without a model does not survive."""
    long = tokenizer.encode("alpha " * 1900, add_special_tokens=False).ids[: MAX_MODEL_LEN - 40]
    forced = tokenizer.encode(f"alpha{CALL}", add_special_tokens=False).ids
    body = {"model": "m", "prompt": long, "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    async with httpx.AsyncClient(timeout=60) as client:
        xargs = {"max_tokens": 100, "temperature": 0, "vllm_xargs": {"replay_token_ids": forced}, "tool_choice": "none"}
        full, tokens = await asyncio.gather(
            client.post(f"{root}/v1/completions", json=body, headers=KEY),
            ask(client, root, "beside", [ENTRY], **xargs),
        )
        assert full.json()["usage"]["completion_tokens"] == 40
        assert tokens == forced
        assert (await client.get(f"{root}/health")).status_code == 200


async def test_requests_that_vllm_refuses_beside_any_proposer_are_refused_with_a_message(root):
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "max_tokens": 2}
    async with httpx.AsyncClient(timeout=60) as client:
        for extra in ({"min_p": 0.1}, {"logit_bias": {"5": 1.0}}):
            answer = await client.post(f"{root}/v1/chat/completions", json=body | extra, headers=KEY)
            assert answer.status_code == 400, answer.text
            assert "speculative" in answer.json()["error"]["message"]
