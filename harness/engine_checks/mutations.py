"""`python -m harness.engine_checks.mutations`: breaks the engine side, and forks, in known ways, one at a time.

In a copy of the checkout; says whether the named test turns red. Exit status 1 when one does not.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness.bench import write_bench
from harness.provenance import ROOT

FOLDERS = ("precall", "agents", "harness", "conf", "tests")
TESTS = "tests/precall/engine/"
AGENTS_CHECK = "tests/harness/agents_check/test_check.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """`old` stands once in `file` and becomes `new`; then `test` must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = (
    Mutation(
        name="skip the re-sent last token",
        file="precall/engine/resident.py",
        old="chunk = [turn.token_ids[-1], *splice.token_ids]",
        new="chunk = [*splice.token_ids]",
        test=f"{TESTS}test_resident.py::test_a_cached_call_is_spliced_and_the_response_goes_on",
    ),
    Mutation(
        name="look up by name only",
        file="precall/engine/entries.py",
        old="if entry.call.name == call.name and canonical_key(entry.call, schema) == key:",
        new="if entry.call.name == call.name:",
        test=f"{TESTS}test_store.py::test_keys_are_canonicalised_under_the_schema_of_the_request",
    ),
    Mutation(
        name="swap parallel outputs",
        file="precall/engine/entries.py",
        old="return Lookup(texts=tuple(texts))",
        new="return Lookup(texts=tuple(reversed(texts)))",
        test=f"{TESTS}test_resident.py::test_several_calls_hit_together_in_their_order",
    ),
    Mutation(
        name="never expire",
        file="precall/engine/entries.py",
        old="if entry.expires_s <= now_s]",
        new="if False]",
        test=f"{TESTS}test_endpoint.py::test_keep_alive_has_a_default_and_a_cap",
    ),
    Mutation(
        name="ignore the owner",
        file="precall/engine/store.py",
        old="    if not _is_same(owner, claimed):",
        new="    if False:",
        test=f"{TESTS}test_endpoint.py::test_another_owners_secret_changes_nothing",
    ),
    Mutation(
        name="draft a call without regard to what the model has written of it",
        file="precall/engine/call_drafts.py",
        old="token_ids[: len(begun)] == begun",
        new="True",
        test=f"{TESTS}test_call_drafts.py::test_another_call_is_drafted_once_the_model_has_turned_to_it",
    ),
    Mutation(
        name="draft whatever was posted for any response",
        file="precall/engine/call_drafts.py",
        old="response = self._responses.get(key)\n        starts",
        new="response = next(iter(self._responses.values()), None)\n        starts",
        test=f"{TESTS}test_call_drafts.py::test_responses_do_not_see_each_other",
    ),
    Mutation(
        name="reserve nothing for drafts",
        file="precall/engine/admission.py",
        old="min(num_tokens + self.num_draft_tokens, self.max_model_len)",
        new="min(num_tokens, self.max_model_len)",
        test=f"{TESTS}test_admission.py::test_what_a_step_may_draft_beyond_the_end_is_reserved_too",
    ),
    Mutation(
        name="skip the commits of forks",
        file="agents/forks/methods.py",
        old="        self.layout.point_at(self.fork)\n",
        new="",
        test=f"{AGENTS_CHECK}::test_recorded_tasks_are_solved_with_equal_workspaces_in_every_arm",
    ),
)


def is_green(folder: Path, tests: list[str]) -> bool:
    """Return whether tests pass in a copy of the checkout. Raises RuntimeError when they cannot be run at all."""
    line = [sys.executable, "-m", "pytest", "-q", "-x", *tests]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"pytest ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode == 0


def main() -> None:
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="precall-mutations-") as name:
        folder = Path(name)
        for part in FOLDERS:
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        if (ROOT / ".cache").is_dir():
            (folder / ".cache").symlink_to(ROOT / ".cache")
        survived = []
        if not is_green(folder, sorted({mutation.test for mutation in MUTATIONS})):
            console.print("[red]The tests fail without a mutation; run `make unit` first.[/red]")
            sys.exit(1)
        for index, mutation in enumerate(MUTATIONS, start=1):
            path = folder / mutation.file
            text = path.read_text(encoding="utf-8")
            assert text.count(mutation.old) == 1, f"{mutation.old!r} stands {text.count(mutation.old)} times in {path}"
            path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
            is_red = not is_green(folder, [mutation.test])
            path.write_text(text, encoding="utf-8")
            console.print(
                f"{index} of {len(MUTATIONS)} {'red' if is_red else '[red]still green[/red]'}: {mutation.name}"
            )
            survived += [] if is_red else [mutation.name]
    write_bench("mutations", {"target": "mutations", "red": len(MUTATIONS) - len(survived), "survived": survived})
    sys.exit(1 if survived else 0)


if __name__ == "__main__":
    main()
