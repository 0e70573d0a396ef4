"""Starts that `python -m precall.engine.serve` refuses before an engine is up, with its own message.

What vLLM's own commands refuse through the plugin comes after their engines are up: tests/precall/engine/test_start.py.
"""

import os
import subprocess
import sys

import pytest

from harness.provenance import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.conformance]

SERVE = "from precall.engine import serve; serve.main()"
OTHER_VERSION = f"import vllm; vllm.__version__ = '0.33.1'; {SERVE}"


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, "--model", "none", *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"VLLM_LOGGING_LEVEL": "ERROR"},
    )


def test_a_start_is_refused_with_what_to_do():
    started = {
        "vLLM is 0.33.1; precall's engine side needs 0.32.": start(OTHER_VERSION),
        "--api-server-count is 2; precall's engine side needs 1.": start(SERVE, "--api-server-count", "2"),
    }
    for message, process in started.items():
        _, error = process.communicate()
        assert process.returncode != 0
        assert message in error, error[-2000:]
