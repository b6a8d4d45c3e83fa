"""``metastyle bench look``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.options import Common, Count, Whole
from metastyle.cli.output import Outcome
from metastyle.errors import MetastyleError


def look(
    folder: Annotated[Path, Parameter(metavar="DIR")] = Path("out/bench/protocol"),
    /,
    *,
    against: Annotated[str | None, Parameter(metavar="METHOD")] = None,
    method: Annotated[str, Parameter(metavar="METHOD")] = "metastyle",
    pairs: Count = 40,
    seed: Annotated[Whole, Ge(0), Le(2**31)] = 0,
    score: Annotated[list[Path] | None, Parameter(metavar="ANSWERS", negative_iterable="")] = None,
    output: Annotated[Path, Parameter(name=["--output", "-o"], metavar="DIR")] = Path("out/bench/look"),
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome:
    """Let people choose between two systems' pictures without knowing whose they are.

    Of the pictures that bench protocol painted, writes look.html, one page with
    pairs of ours and another system's, left and right by chance, and key.json,
    which says whose is where: do not read it before you have looked. The page
    gives a file of answers; --score counts them with the key.

    For example:

        metastyle bench look --against adain
        metastyle bench look out/bench/protocol --against microast --pairs 60
        metastyle bench look --score answers.json

    Args:
        folder: Where bench protocol wrote its results.
        against: The other system, as it was given to bench protocol's --method.
        method: Our system, likewise.
        pairs: How many pairs to show at most.
        seed: Chooses pairs and sides.
        score: A file of answers to count; may be repeated, for several people.
        output: Folder for look.html and key.json, and where --score finds the key.
    """
    from metastyle.bench import look as benchmark

    if score:
        key = benchmark.read_key(output / "key.json")
        found = benchmark.score(key, score)
        low, high = benchmark.wilson(found.ours, found.decided) if found.decided else (0.0, 1.0)
        facts = {"ours": found.ours, "other": found.other, "undecided": found.undecided}
        details = {"method": key.ours, "against": key.other, **facts, "interval": [low, high]}
        return Outcome("bench look", details=details, lines=[benchmark.sentence(key, found)])
    if against is None:
        raise MetastyleError("bench look needs the other system: --against METHOD, or --score ANSWERS")
    written = benchmark.write(folder, benchmark.draw(folder, method, against, pairs, seed), output)
    return Outcome(
        "bench look",
        outputs=[{"output": path} for path in written],
        lines=[f"{written[0]}: open it in a browser; {written[1].name} says whose pictures are where"],
    )
