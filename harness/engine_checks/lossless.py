"""`python -m harness.engine_checks.lossless`: are resident sequences the same tokens as separate requests?

Float32, greedy, nothing forced, weights that react to their input, 16 sequences of five turns at once. Baseline are
separate requests, each with exactly the tokens so far as its prompt; results are rendered for it by `hermes`, not by
the engine side. Compared are prompts and generated tokens of every turn, and what the worker held. Questions to which
the model does not call a tool five times in the baseline are left out. A second baseline renders the chat anew for each
turn, as an ordinary client does; where its prompts differ is reported. An arm that is not resident, whose turns are
such requests, is compared with that one.
"""

import asyncio
import json
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from harness.backends.metrics_endpoint import scrape
from harness.backends.start_display import StartDisplay
from harness.backends.vllm_server import VllmServer
from harness.bench import write_bench
from harness.engine_checks import world
from harness.engine_checks.arms import ARMS, MODEL, O3, Arm, contexts_file, server_of
from harness.engine_checks.calling_model import make_calling_model
from harness.engine_checks.comparison import Tokens, Trace, context_divergence, divergence_of
from harness.engine_checks.hermes import HermesTokens, call_of
from harness.engine_checks.report import Outcome, figures_of, template_report
from harness.engine_checks.requests import NUM_TURNS, Requests
from harness.model_paths import CACHE
from precall.calls import ToolCall
from precall.errors import ConfigError, PrecallError

NUM_SEQUENCES = 16
NUM_QUESTIONS = 24
_ACCEPTED = "vllm:spec_decode_num_accepted_tokens_total"
_REQUEST_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """The questions, and what separate requests made of them."""

    questions: list[str]
    exact: list[Trace]
    rendered: list[Trace]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One run of the check; what the workers hold is written to files in `folder`."""

    tokens: HermesTokens
    folder: Path
    console: Console

    async def baselines(self, server: VllmServer) -> Baselines:
        """Run both baselines, all sequences of each at once."""
        draw = random.Random(0)
        asked = [world.question(draw) for _ in range(NUM_QUESTIONS)]
        async with _client() as client:
            exact = self._requests("exact", server, client)
            traces = await asyncio.gather(*(exact.exact(question) for question in asked))
            complete = [index for index, trace in enumerate(traces) if len(self._calls(trace)) == NUM_TURNS]
            self._say(f"token-exact: {len(complete)} of {len(asked)} sequences call in every turn")
            if len(complete) < NUM_SEQUENCES:
                what = f"The model calls a tool in all {NUM_TURNS} turns of {len(complete)} sequences"
                raise ConfigError(f"{what}; {NUM_SEQUENCES} are needed. Correct the recipe in calling_model.py.")
            kept = complete[:NUM_SEQUENCES]
            anew = self._requests("rendered", server, client)
            rendered = await asyncio.gather(*(anew.rendered(str(index), asked[index]) for index in kept))
            self._say(f"rendered anew: {len(rendered)} sequences run")
        questions, kept_traces = [asked[index] for index in kept], [traces[index] for index in kept]
        return Baselines(questions=questions, exact=kept_traces, rendered=list(rendered))

    async def outcome(self, arm: Arm, server: VllmServer, baselines: Baselines) -> Outcome:
        """Run the sequences of an arm, all at once, and compare them with their baseline."""
        expected = baselines.exact if arm.is_resident else baselines.rendered
        before = await scrape(server.base_url)
        async with _client() as client:
            requests = self._requests(arm.name, server, client)
            found = await asyncio.gather(
                *(
                    requests.resident(index, question, trace, has_tags=not arm.has_proposer)
                    if arm.is_resident
                    else _unspliced(requests.rendered(str(index), question, self._calls(trace)))
                    for index, (question, trace) in enumerate(zip(baselines.questions, expected, strict=True))
                )
            )
        after = await scrape(server.base_url)
        held = _held(contexts_file(arm, self.folder))
        divergences = [
            divergence_of(arm.name, index, trace, found[index][0])
            or context_divergence(arm.name, index, _contexts(arm, trace), held.get(index, held.get(None, [])))
            for index, trace in enumerate(expected)
        ]
        self._say(f"{arm.name}: {divergences.count(None)} of {len(divergences)} sequences identical")
        return Outcome(
            arm=arm.name,
            divergences=divergences,
            spliced_turns=sum(num_spliced for _, num_spliced in found),
            accepted_draft_tokens=int(after[_ACCEPTED] - before[_ACCEPTED]) if arm.has_proposer else None,
        )

    def _requests(self, arm: str, server: VllmServer, client: httpx.AsyncClient) -> Requests:
        root = server.base_url.removesuffix("/v1")
        return Requests(arm=arm, root=root, model=MODEL, client=client, tokens=self.tokens)

    def _calls(self, trace: Trace) -> list[ToolCall]:
        calls = (call_of(self.tokens.text(list(turn.generated))) for turn in trace)
        return [call for call in calls if call is not None]

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, highlight=False)


async def run(console: Console) -> dict[str, Any]:
    """Run the baselines and all arms, and return the figures."""
    model = make_calling_model(CACHE, console)
    display = StartDisplay(console)
    with tempfile.TemporaryDirectory(prefix="precall-lossless-") as name:
        check = Check(tokens=HermesTokens(model), folder=Path(name), console=console)
        outcomes: list[Outcome] = []
        async with server_of(O3, model, NUM_QUESTIONS, check.folder, display) as server:
            baselines = await check.baselines(server)
            outcomes += [await check.outcome(arm, server, baselines) for arm in ARMS if not arm.has_proposer]
        for arm in (arm for arm in ARMS if arm.has_proposer):
            async with server_of(arm, model, NUM_QUESTIONS, check.folder, display) as server:
                outcomes.append(await check.outcome(arm, server, baselines))
    report = template_report(baselines.exact, baselines.rendered, check.tokens.text)
    return figures_of(outcomes) | {"rendered_anew": report}


def _contexts(arm: Arm, trace: Trace) -> list[Tokens]:
    """Return what the worker should have held: prompts, or, where a proposer records, all up to the end of a turn."""
    return [turn.prompt + (turn.generated if arm.has_proposer else ()) for turn in trace]


def _held(file: Path) -> dict[int | None, list[Tokens]]:
    """Return the recorded contexts by sequence; those of a proposer, which knows no sequences, under None."""
    held: dict[int | None, list[Tokens]] = {}
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    for row in map(json.loads, lines):
        if "row" in row:
            held.setdefault(None, []).append(tuple(row["row"]))
        elif row["num_output"] == 0:
            held.setdefault(int(row["tag"].split("/")[1]), []).append(tuple(row["prompt"]))
    return held


async def _unspliced(run: Any) -> tuple[Trace, int]:
    return await run, 0


def _client() -> httpx.AsyncClient:
    # No connection is kept: the server closes idle ones, at any moment.
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=_REQUEST_TIMEOUT_S, limits=limits)


def main() -> None:
    figures = asyncio.run(run(Console(stderr=True)))
    write_bench("lossless", figures)
    shown = (figures["spliced_turns"], figures["accepted_draft_tokens"])
    if figures["identical"] < figures["sequences"] or not all(shown):
        sys.exit(1)


if __name__ == "__main__":
    try:
        main()
    except PrecallError as error:
        sys.exit(str(error))
