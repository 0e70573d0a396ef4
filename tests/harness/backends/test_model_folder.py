"""A folder that cannot be served is refused by name, before a server starts."""

import hashlib
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from harness.backends.model_folder import check_model_folder
from harness.replay.tiny_model import TinyArchitecture, make_tiny_model
from precall.errors import ConfigError

TINY = TinyArchitecture(hidden_size=64, num_layers=1, num_heads=1, head_size=64, ff_size=64, vocab_size=1024)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_tiny_model(TINY, tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(made, tmp_path):
    target = shutil.copytree(made, tmp_path / "model")
    save_file({"a": np.zeros((4, 4), np.float32), "b": np.ones(3, np.float32)}, target / "model.safetensors")
    return target


def check(folder, parser="hermes"):
    check_model_folder(folder, parser, has_weights=True)


def test_a_whole_folder_is_accepted(folder):
    check(folder)


def test_truncated_weights_are_refused_with_both_lengths(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(ConfigError, match=f"{len(whole) - 5} bytes long; its header asks for {len(whole)}"):
        check(folder)


@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\n", b"\2\0\0\0\0\0\0\0[]"])
def test_a_file_that_is_no_safetensors_is_refused(folder, content):
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.safetensors"):
        check(folder)


def test_a_missing_shard_is_refused(folder):
    index = {"weight_map": {"a": "model.safetensors", "c": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match=r"model-2\.safetensors cannot be read"):
        check(folder)


def test_a_folder_without_weights_is_refused_where_they_are_loaded(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(ConfigError, match="has no weights"):
        check(folder)
    check_model_folder(folder, "hermes", has_weights=False)


def test_another_checksum_is_refused(folder):
    good = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{good}  config.json\n")
    check(folder)
    (folder / "SHA256SUMS").write_text(f"{good}  config.json\n{'0' * 64}  model.safetensors\n")
    with pytest.raises(ConfigError, match="SHA-256"):
        check(folder)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_broken_configuration_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        check(folder)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "leaves out the tools and calls;"),
        ("{{ tools }}{% for m in messages %}{{ m.content }}{{ m.tool_calls }}{% endfor %}", "without <tool_call>"),
        ("{{ raise_exception('no tools here') }}", "no tools here"),
        ("", "has no chat template"),
    ],
)
def test_a_template_that_does_not_render_tools_is_refused(folder, template, message):
    (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(ConfigError, match=message):
        check(folder)


def test_another_parsers_form_is_not_asked_for_the_hermes_opener(folder):
    template = "{{ tools }}{% for m in messages %}{{ m.content }}{{ m.tool_calls }}{% endfor %}"
    (folder / "chat_template.jinja").write_text(template)
    check(folder, "xlam")
