"""The ways to run sequences that `lossless` compares with its baselines, and the servers they run on."""

from dataclasses import dataclass
from pathlib import Path

from harness.backends.engine_side import with_engine_side
from harness.backends.start_display import StartDisplay
from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.engine_checks.calling_model import ARCHITECTURE
from harness.replay.context_recorder import FILE

MODEL = "calling"
_NUM_DRAFT_TOKENS = 64
_PROPOSER = "harness.replay.recording_proposer.RecordingProposer"
_RECORDER = "harness.replay.context_recorder:ContextRecorder"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way to run the sequences. With `has_proposer` the engine drafts cached calls, on a server of its own."""

    name: str
    is_resident: bool
    has_proposer: bool


O3 = Arm(name="o3", is_resident=True, has_proposer=False)
O2 = Arm(name="o2", is_resident=False, has_proposer=True)
O3_O2 = Arm(name="o3_o2", is_resident=True, has_proposer=True)
ARMS = (O3, O2, O3_O2)


def contexts_file(arm: Arm, folder: Path) -> Path:
    """Return where the server of `arm` writes down what its worker holds."""
    return folder / f"{arm.name}.jsonl"


def server_of(arm: Arm, model: Path, num_sequences: int, folder: Path, display: StartDisplay) -> VllmServer:
    """Return the server for an arm, with seats for `num_sequences` at once and one that admission keeps free."""
    settings = VllmServerSettings(
        name=arm.name,
        model=str(model),
        served_model_name=MODEL,
        platform="cpu",
        dtype="float32",
        max_model_len=ARCHITECTURE.max_position_embeddings,
        max_num_seqs=num_sequences + 1,
        kv_cache_gib=1,
        reasoning_parser="qwen3",
        logits_processors=(_RECORDER,),
        extra_args=("--additional-config.precall.max_wait_s", "60"),
        env=((FILE, str(contexts_file(arm, folder))),),
    )
    settings = with_engine_side(
        settings,
        is_residency=arm.is_resident,
        num_speculative_tokens=_NUM_DRAFT_TOKENS if arm.has_proposer else None,
        proposer=_PROPOSER,
    )
    return VllmServer(settings, log_folder=folder, display=display)
