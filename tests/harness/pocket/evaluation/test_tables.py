"""What people read: shares in per cent with their intervals, one column per number of samples."""

import io

from rich.console import Console

from harness.pocket.evaluation.tables import percent, print_tables, shown


def test_an_interval_is_shown_with_its_limits_where_it_has_some():
    assert percent([0.5, 0.625, 0.75]) == "62.5 [50.0, 75.0]"
    assert shown([None, 0.125, None], 2) == "0.12"
    assert shown([None, None, None], 2) == "-"


def test_the_tables_show_every_model_every_number_of_samples_and_every_place():
    def by_samples(first: float) -> dict[str, list[float]]:
        return {str(num): [first, first + num / 100, 1.0] for num in (1, 3)}

    rates = {key: [0.5, 0.75, 1.0] for key in ("call_exact_match", "answer_exact_match", "no_call_match")}
    draft = {**rates, "faults": {}, "call_acceptance_rate": by_samples(0.5)}
    draft["g_over_G"] = {"8": {"alone": by_samples(0.1), "colocated": by_samples(0.2)}}
    target = {**rates, "faults": {"wrong_tool": 3}, "solved": [0.25, 0.5, 0.75]}
    found = {"num_tasks": 7, "temperature": 1.0, "target": target, "drafts": {"pocket_s": draft}}
    out = io.StringIO()
    print_tables(found, (1, 3), Console(file=out, width=200))
    text = out.getvalue()
    for part in ("wrong_tool 3", "50.0 [25.0, 75.0]", "53.0 [50.0, 100.0]", "0.13 [0.10, 1.00]", "0.23 [0.20, 1.00]"):
        assert part in text, part
    assert "g/G by samples, agents: 8, alone" in text and "g/G by samples, agents: 8, colocated" in text
