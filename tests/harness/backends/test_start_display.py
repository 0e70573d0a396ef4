"""What is shown while servers start."""

import asyncio

from rich.console import Console

from harness.backends.start_display import StartDisplay


async def test_away_from_a_terminal_the_display_prints_plain_lines(make_server, tmp_path):
    with (tmp_path / "display").open("w") as file:
        display = StartDisplay(Console(file=file, width=40), plain_interval_s=0.3)
        async with make_server("--slow-s", "0.7", display=display):
            pass
    lines = (tmp_path / "display").read_text().splitlines()
    assert lines[0] == "target: starting"
    assert lines[1] == "target: starting for 0 s: starting, part [29]"
    assert lines[-1].startswith("target: ready after ")


async def test_on_a_terminal_servers_that_start_together_share_one_display(make_server, tmp_path):
    with (tmp_path / "display").open("w") as file:
        display = StartDisplay(Console(file=file, width=80, force_terminal=True))
        slow = make_server("--slow-s", "0.6", name="slow", log_path=tmp_path / "slow.log", display=display)
        quick = make_server(name="quick", log_path=tmp_path / "quick.log", display=display)
        async with asyncio.TaskGroup() as group:
            group.create_task(slow.__aenter__())
            group.create_task(quick.__aenter__())
        await slow.stop()
        await quick.stop()
    text = (tmp_path / "display").read_text()
    assert text.index("quick: ready after") < text.index("slow: ready after")
    assert "part [29]" in text
