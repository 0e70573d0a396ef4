"""A model's folder: whole or not at all, loadable, and described by what was run."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

from harness.pocket import export as export_module
from harness.pocket.export import SUMS, export, sums_of
from tests.harness.pocket import tiny

FILES = {
    "model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
    "generation_config.json", "card.md", "curve.csv", SUMS,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.exported(tmp_path_factory.mktemp("models") / "tiny")


def test_the_folder_holds_bfloat16_weights_under_their_names_in_transformers(folder: Path):
    assert {file.name for file in folder.iterdir()} == FILES
    weights = load_file(folder / "model.safetensors")
    for name, weight in tiny.network().state_dict().items():
        assert weights[name].dtype == torch.bfloat16
        assert torch.equal(weights[name], weight.bfloat16())
    assert "lm_head.weight" not in weights, "the embeddings are tied"


def test_transformers_reads_the_shape_the_end_of_a_turn_and_the_tokenizer(folder: Path):
    config = AutoConfig.from_pretrained(folder)
    assert (config.hidden_size, config.num_hidden_layers, config.head_dim) == (64, 2, 32)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    assert tokenizer.eos_token == "<|im_end|>"
    assert config.eos_token_id == tokenizer.eos_token_id
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == tokenizer.eos_token_id
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).to_str() == tiny.tokenizer().to_str()


def test_the_sums_are_those_of_all_other_files(folder: Path):
    lines = dict(reversed(line.split("  ")) for line in (folder / SUMS).read_text().splitlines())
    assert lines.keys() == FILES - {SUMS}
    for name, digest in lines.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert sums_of(folder) == (folder / SUMS).read_text()


def test_the_card_says_what_was_run(folder: Path):
    card = (folder / "card.md").read_text()
    num_parameters = sum(weight.numel() for weight in tiny.network().parameters())
    assert f"{num_parameters / 1e6:.2f}M parameters that reasons" in card
    assert "`python -m harness.pocket.train --models tiny --steps 6`" in card
    assert "| seed | 3 |" in card
    assert "| active time | 1.5 min on " in card
    assert "| 6 | 0.00 | 5.250 | 12.5% | 50.0% |" in card
    assert "| 3 |" not in card.split("| step |")[1], "a row without a probe is in curve.csv alone"
    assert re.search(r"\| torch \| \d", card)
    draft = export_module._card(tiny.DRAFT, tiny.network(tiny.DRAFT), tiny.CURVE)
    assert "calls or answers at once" in draft


def test_a_folder_is_replaced_whole(folder: Path, tmp_path: Path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "old").write_text("old")
    tiny.exported(tmp_path / "m")
    assert {file.name for file in (tmp_path / "m").iterdir()} == FILES
    assert list(tmp_path.iterdir()) == [tmp_path / "m"]


@pytest.mark.parametrize("fails", ["save_file", "sums_of", "_card"])
def test_an_export_that_fails_leaves_the_folder_as_it_was(fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "old").write_text("old")

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(export_module, fails, fail)
    with pytest.raises(OSError, match="no space left"):
        export(tiny.TARGET, tiny.network(), tiny.tokenizer(), tiny.CURVE, tmp_path / "m")
    assert [file.name for file in tmp_path.rglob("*")] == ["m", "old"]
