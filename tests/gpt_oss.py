"""The model replay_tiny_gpt_oss for tests; its tokenizer takes seconds to load, so they share one."""

import functools
from pathlib import Path
from typing import Any

from harness.model_paths import model_path
from tests.harness.configs import config_of


@functools.cache
def gpt_oss_folder() -> Path:
    """Return the folder of the model, made if it is not there."""
    return Path(model_path(config_of("model=replay_tiny_gpt_oss").model))


@functools.cache
def gpt_oss_tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(gpt_oss_folder()))
