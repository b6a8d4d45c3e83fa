"""``metastyle bench``."""

from __future__ import annotations

from cyclopts import App

from metastyle.cli.commands.bench_adaptation import adaptation
from metastyle.cli.commands.bench_grid import grid
from metastyle.cli.commands.bench_look import look
from metastyle.cli.commands.bench_protocol import protocol
from metastyle.cli.commands.bench_quality import quality
from metastyle.cli.commands.bench_report import report
from metastyle.cli.commands.bench_speed import speed
from metastyle.cli.commands.bench_stillness import stillness

bench = App(name="bench", help="Measure what this project claims.", help_format="plaintext")
bench.command(speed)
bench.command(quality)
bench.command(protocol)
bench.command(look)
bench.command(grid)
bench.command(report)
bench.command(stillness)
bench.command(adaptation)
