"""Results of a small comparison."""

from metastyle.bench.quality import FilmQuality, Quality
from metastyle.bench.speed import Speed

SPEEDS = [
    Speed("johnson", "Johnson et al.", 256, 0.1, 0.09, 0.12, 5, 30_000_000, 600.0, 1_679_235, "1"),
    Speed("adain", "AdaIN", 256, 0.4, 0.4, 0.5, 5, 90_000_000, 0.2, 7_010_959, "any"),
    Speed("metastyle", "MetaStyle, 60 steps", 256, 0.11, 0.1, 0.12, 5, 30_000_000, 40.0, 1_679_235, "any"),
    Speed("wct", "wct", 256, error="its weights are missing"),
    Speed("gatys", "Gatys et al.", 256, 200.0, 200.0, 200.0, 1, 300_000_000, 0.1, 0, "any"),
]
CELLS = [
    Quality(method, name, styles, painting, "p", total, total / 3, total / 2, total, total, 1 / total)
    for method, name, styles, factor in [
        ("gatys", "Gatys et al.", "any", 1.0),
        ("johnson", "Johnson et al.", "1", 1.5),
        ("metastyle", "MetaStyle, 60 steps", "any", 2.0),
        ("adain", "AdaIN", "any", 8.0),
    ]
    for painting, total in [("x", 4 * factor), ("y", 9 * factor)]
]
FILMS = [
    FilmQuality("adain", "AdaIN", "any", "x", "alley", 16.0, 5.0),
    FilmQuality("metastyle", "MetaStyle, 60 steps", "any", "x", "alley", 11.0, 5.0),
]
