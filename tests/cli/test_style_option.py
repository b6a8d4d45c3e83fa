from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from metastyle.cli.inputs import PIPE
from metastyle.cli.style_option import (
    PHOTO,
    Masked,
    Part,
    mixture_name,
    parse_part,
    read_masks,
    read_parts,
    weights_of,
)
from metastyle.errors import MetastyleError
from metastyle.weights.builtin_styles import builtin_names, builtin_path

Draw = Callable[..., Path]


def test_a_weight_may_follow_the_name() -> None:
    assert parse_part("a.safetensors:0.3") == ("a.safetensors", 0.3)
    assert parse_part("night:2") == ("night", 2.0)
    assert parse_part("a.safetensors") == ("a.safetensors", None)
    assert parse_part(r"C:\styles\a.safetensors") == (r"C:\styles\a.safetensors", None)
    assert parse_part(r"C:\a.safetensors:2") == (r"C:\a.safetensors", 2.0)
    assert parse_part(":2") == (":2", None)
    for text in ("a:-1", "a:inf", "a:nan"):
        with pytest.raises(MetastyleError, match="use a number from 0"):
            parse_part(text)


def test_existing_files_take_precedence(tmp_path: Path, draw: Draw) -> None:
    painting, odd = draw(tmp_path / "sea.png"), draw(tmp_path / "sea:0.5.png")
    assert read_parts([str(painting)]) == [Part(painting)]
    assert read_parts([str(odd)]) == [Part(odd)]
    parts = read_parts([f"{painting}:0.7", f"{odd}:0.3"])
    assert weights_of(parts) == [0.7, 0.3] and mixture_name(parts) == "sea+sea:0.5"
    assert weights_of(read_parts([str(painting)] * 2)) is None
    assert read_parts([str(PIPE)]) == [Part(PIPE)]


def test_built_in_styles_are_found_by_name() -> None:
    for name in builtin_names():
        path = builtin_path(name)
        assert path is not None and path.is_file()
        assert read_parts([name, name.upper()]) == [Part(path), Part(path)]
    assert builtin_path("no such style") is None


def test_unusable_styles_are_refused_with_advice(tmp_path: Path, draw: Draw) -> None:
    painting = draw(tmp_path / "sea.png")

    def message(*texts: str) -> str:
        with pytest.raises(MetastyleError) as caught:
            read_parts(texts)
        return str(caught.value)

    assert "neither a file nor one of the" in message("no-such-style")
    assert "did you mean starry-night?" in message("stary-night")
    assert "missing.jpg: cannot be read" in message(str(tmp_path / "missing.jpg"))
    assert "is a folder" in message(str(tmp_path))
    assert "sea has no weight" in message(f"{painting}:1", str(painting))
    assert "all weights are 0" in message(f"{painting}:0", f"{painting}:0")


def test_masks_are_parsed(tmp_path: Path, draw: Draw) -> None:
    painting, mask = draw(tmp_path / "sea.png"), draw(tmp_path / "sky=1.png")
    assert read_masks([f"{mask}={painting}", f"{mask}={PHOTO}"]) == [
        Masked(mask, Part(painting)),
        Masked(mask, None),
    ]
    for text in ("sky.png", "=sea", "sky.png="):
        with pytest.raises(MetastyleError, match="use MASK=STYLE"):
            read_masks([text])
    with pytest.raises(MetastyleError, match=r"no\.png: cannot be read"):
        read_masks([f"no.png={painting}"])
