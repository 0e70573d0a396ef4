"""ARTIFACT.md is what the ledger says, and says what someone who checks the artifact needs."""

from harness.claims.artifact import FILE, artifact
from harness.claims.ledger import read_claims
from harness.claims.schema import Tier

LEDGER = read_claims()
TEXT = artifact(LEDGER)


def section(heading: str) -> str:
    """Return the text under the heading that begins so."""
    (text,) = (part for part in TEXT.split("\n## ") if part.startswith(heading))
    return text


def test_the_committed_file_is_current():
    assert FILE.read_text(encoding="utf-8") == TEXT, "run `make artifact`"


def test_each_claim_stands_there_once_with_its_sentence_and_its_command():
    for claim in LEDGER.claims:
        (line,) = (line for line in TEXT.splitlines() if f"| **{claim.id}**:" in line)
        assert claim.sentence in line
        command = LEDGER.command_of(claim)
        assert f"`{command.run}`" in line or f"[{command.id}](#commands)" in line


def test_each_command_stands_there_whole():
    commands = section("Commands")
    assert all(f"| **{command.id}** | `{command.run}` |" in commands for command in LEDGER.commands)


def test_the_smoke_tier_lists_its_commands_the_verdicts_last():
    commands = [line.strip() for line in section("Smoke tier").splitlines() if line.startswith("    ")]
    assert set(commands) == {command.run for command in LEDGER.commands if command.tier is Tier.smoke}
    assert commands[-1] == "make claims"


def test_what_needs_gpus_says_which_and_stands_under_the_protocol():
    protocol = section("Claims that need the paper's GPUs")
    on_gpus = [claim.id for claim in LEDGER.claims if LEDGER.command_of(claim).gpus]
    assert all(f"**{name}**" in protocol for name in on_gpus)
    assert protocol.count("4 x A100-80GB") >= len(on_gpus)
    assert "`fig5-8b-one-sample`" in protocol, "the hit rates are conditions of all else"
    assert "[gpu_noise](#commands), then `make claims`. *Accepted*: `baseline-against-itself` is reproduced" in protocol


def test_a_table_has_as_many_cells_in_each_row_as_it_has_columns():
    for table in ("\n".join(part.splitlines()) for part in TEXT.split("\n\n")):
        rows = [line.replace("\\|", "") for line in table.splitlines() if line.startswith("|")]
        assert len({row.count("|") for row in rows}) <= 1
