"""Trains the pocket models from scratch: `make pocket-models`, or `python -m harness.pocket.train --models pocket_s`.

Each step draws its tasks anew from the world's training split. What step s draws follows from the model's seed and s
alone, so a run that was interrupted at any point goes on from its last checkpoint to the weights it would have had: on
the CPU to the bit, since it computes on one thread. A second would bring a factor of 1.2 to 1.7, and other sums.
"""

import argparse
import dataclasses
import hashlib
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch.nn.functional import cross_entropy

from harness.pocket.conversations import NOT_LEARNT, ConversationEncoder
from harness.pocket.display import TrainingDisplay
from harness.pocket.export import export
from harness.pocket.family import FAMILY, PocketModel
from harness.pocket.network import Batch, PocketNetwork
from harness.pocket.probe import Probe, Row
from harness.pocket.tokenizer import make_tokenizer
from harness.pocket.world import draw_task

MODELS = Path(__file__).with_name("models")
CHECKPOINTS = Path(".cache/pocket")
CONVERSATIONS_PER_STEP = 24
_STEPS_PER_CHECKPOINT = 50
_STEPS_PER_ROW = 25
_ROWS_PER_PROBE = 4
_NUM_WARM_UP_STEPS = 50
_LAST_RATE = 0.03
_MUON_RATE = 0.02
_ADAM_RATE = 3e-3


@dataclass(slots=True, kw_only=True)
class Run:
    """A training run between two steps. `num_steps` are done; `losses` are those since the last row of the curve."""

    network: PocketNetwork
    optimizers: list[torch.optim.Optimizer]
    num_steps: int = 0
    num_tokens: int = 0
    active_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    curve: list[Row] = field(default_factory=list)


def train(
    model: PocketModel, encoder: ConversationEncoder, probe: Probe, checkpoint: Path, display: TrainingDisplay
) -> Run:
    """Train `model` to its last step, from `checkpoint` on if it is there, and leave it there."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = start(model, device)
    if checkpoint.exists():
        restore(run, checkpoint)
    display.start(model.name, model.num_steps, (run.num_steps, run.num_tokens, run.active_s))
    while run.num_steps < model.num_steps:
        started_s = time.monotonic()
        conversations = encoder.encode(draw_tasks(model, run.num_steps))
        batch = Batch.of(conversations, device)
        run.losses.append(learn(run, batch, rate_at(run.num_steps, model.num_steps)))
        run.num_steps += 1
        run.num_tokens += sum(len(conversation.token_ids) for conversation in conversations)
        is_last = run.num_steps == model.num_steps
        if is_last or run.num_steps % _STEPS_PER_ROW == 0:
            is_probed = is_last or run.num_steps % (_STEPS_PER_ROW * _ROWS_PER_PROBE) == 0
            add_row(run, probe if is_probed else None, started_s)
            display.row(run.curve[-1])
        run.active_s += time.monotonic() - started_s
        if is_last or run.num_steps % _STEPS_PER_CHECKPOINT == 0:
            save(run, checkpoint)
        display.advance()
    return run


def start(model: PocketModel, device: torch.device) -> Run:
    """Return a run before its first step. Muon takes matrices only, and embeddings do better without it."""
    torch.manual_seed(model.seed)
    network = PocketNetwork(model).to(device)
    is_inner = {name: weight.ndim == 2 and "embed" not in name for name, weight in network.named_parameters()}
    inner = [weight for name, weight in network.named_parameters() if is_inner[name]]
    others = [weight for name, weight in network.named_parameters() if not is_inner[name]]
    muon = torch.optim.Muon(inner, lr=_MUON_RATE, weight_decay=0.0)
    adam = torch.optim.AdamW(others, lr=_ADAM_RATE, weight_decay=0.0, betas=(0.9, 0.95))
    for optimizer in (muon, adam):
        for group in optimizer.param_groups:
            group["full_rate"] = group["lr"]
    return Run(network=network, optimizers=[muon, adam])


def draw_tasks(model: PocketModel, step: int) -> list[Any]:
    """Return the tasks of a step: with one tool each in the first 5 % of all steps, with up to two until 15 %."""
    draw = random.Random(f"{model.seed} {step}")
    done = step / model.num_steps
    max_tools = 1 if done < 0.05 else 2 if done < 0.15 else 3
    return [
        draw_task(draw, "train", max_tools=max_tools, task_id=f"{step}-{index}")
        for index in range(CONVERSATIONS_PER_STEP)
    ]


def rate_at(step: int, num_steps: int) -> float:
    """Return the share of the full learning rate: rising, then flat to 60 % of all steps, then falling to 3 %."""
    fallen = max(0.0, step / num_steps - 0.6) / 0.4
    return min(1.0, (step + 1) / _NUM_WARM_UP_STEPS) * (1.0 - (1.0 - _LAST_RATE) * fallen)


def learn(run: Run, batch: Batch, rate: float) -> float:
    """Take one step and return the loss: nats per token that the model writes."""
    with autocast(batch.token_ids.device):
        logits = run.network(batch)
    loss = cross_entropy(logits.float(), batch.targets, ignore_index=NOT_LEARNT)
    run.network.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(run.network.parameters(), 1.0)
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["full_rate"] * rate
        optimizer.step()
    return loss.item()


def autocast(device: torch.device) -> torch.autocast:
    """Return a context that multiplies matrices in bfloat16 where the device does so in hardware."""
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = any(capabilities.get(name) for name in ("amx_bf16", "avx512_bf16", "bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(has_bfloat16))


def add_row(run: Run, probe: Probe | None, started_s: float) -> None:
    """Add a row to the learning curve."""
    device = run.network.model.embed_tokens.weight.device
    with autocast(device):
        rates = probe.rates(run.network, device) if probe is not None else None
    run.curve.append(
        Row(
            step=run.num_steps,
            tokens=run.num_tokens,
            loss=sum(run.losses) / len(run.losses),
            seconds=run.active_s + time.monotonic() - started_s,
            call_rate=rates[0] if rates else None,
            answer_rate=rates[1] if rates else None,
        )
    )
    run.losses.clear()


def save(run: Run, checkpoint: Path) -> None:
    """Write a checkpoint that is there whole or not at all."""
    counted = {name: getattr(run, name) for name in ("num_steps", "num_tokens", "active_s", "losses")}
    state = {
        "network": run.network.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in run.optimizers],
        "counted": counted,
        "curve": [dataclasses.asdict(row) for row in run.curve],
    }
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(checkpoint)


def restore(run: Run, checkpoint: Path) -> None:
    """Bring a run to where `checkpoint` was written."""
    device = run.network.model.embed_tokens.weight.device
    state = torch.load(checkpoint, map_location=device, weights_only=True)
    run.network.load_state_dict(state["network"])
    for optimizer, optimizer_state in zip(run.optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(optimizer_state)
    for name, value in state["counted"].items():
        setattr(run, name, value)
    run.curve = [Row(**row) for row in state["curve"]]


def checkpoint_of(model: PocketModel) -> Path:
    """Return where a model's checkpoint stands: another recipe, or other code of the world or here, is another one."""
    sources = [file.read_bytes() for file in sorted(Path(__file__).parent.iterdir()) if file.is_file()]
    recipe = b"".join([json.dumps(dataclasses.asdict(model)).encode(), *sources])
    return CHECKPOINTS / f"{model.name}-{hashlib.sha256(recipe).hexdigest()[:12]}.pt"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what the command line asks for and write each model's folder."""
    parser = argparse.ArgumentParser(prog="python -m harness.pocket.train", description="Trains the pocket models.")
    parser.add_argument("--models", nargs="+", choices=FAMILY, default=list(FAMILY), help="which; default: all")
    parser.add_argument("--steps", type=int, help="steps, in place of each model's own number")
    parser.add_argument("--output", type=Path, default=MODELS, help="where the models' folders go")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if asked.steps is not None and asked.steps < 1:
        parser.error(f"--steps is {asked.steps}; it must be at least 1.")
    tokenizer = make_tokenizer()
    display = TrainingDisplay(Console())
    for name in asked.models:
        model = FAMILY[name]
        if asked.steps is not None:
            model = dataclasses.replace(model, num_steps=asked.steps)
        encoder = ConversationEncoder(tokenizer, has_reasoning=model.has_reasoning)
        with display.shown():
            run = train(model, encoder, Probe(encoder), checkpoint_of(model), display)
        export(model, run.network, tokenizer, run.curve, asked.output / name)
        display.line(f"{name}: {asked.output / name} written after {run.active_s / 60:.1f} min of training")


if __name__ == "__main__":
    main()
