"""docs/cost-model.md says what the commands say."""

import re
import shlex
import sys

from harness.provenance import ROOT
from harness.what_if import __main__ as command
from harness.what_if.published import BEGIN, DOC, END, cells, markdown

TEXT = DOC.read_text(encoding="utf-8")


def test_predicted_and_measured_are_those_of_the_published_cells():
    written = TEXT.split(BEGIN)[1].split(END)[0]
    assert written == markdown(cells(ROOT / "results" / "published" / "local")), "run harness.what_if.published --write"


def test_the_example_prints_what_stands_there(capsys, monkeypatch):
    example = TEXT.split("## An example")[1]
    typed, printed = example.split("```text\n")[0], example.split("```text\n")[1].split("```")[0]
    arguments = shlex.split(re.sub(r"\\\n", " ", typed.strip()))[3:]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["what_if", *arguments])
    command.main()
    said = "\n".join(line.rstrip() for line in capsys.readouterr().err.splitlines())
    assert said == printed.rstrip("\n")
