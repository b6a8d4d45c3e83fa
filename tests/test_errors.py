"""Errors are one printable line, whatever the names in them."""

from __future__ import annotations

import pytest
from PIL import Image

import metastyle
from metastyle.errors import MetastyleError


@pytest.mark.parametrize("name", ["no\nsuch", "no\x1b[2Jsuch", "no\u2028such", "no\udcffsuch"])
def test_names_of_files_break_no_line(name: str) -> None:
    assert str(MetastyleError(f"{name}: missing")).isprintable()
    for call in (
        lambda: metastyle.load(f"{name}.safetensors"),
        lambda: metastyle.stylize(Image.new("RGB", (16, 16)), f"{name}.safetensors"),
    ):
        with pytest.raises(MetastyleError) as caught:
            call()
        assert str(caught.value).isprintable()
        assert "such" in str(caught.value)


def test_plain_lines_stay_as_they_are() -> None:
    assert str(MetastyleError("two  spaces, é and 雪")) == "two  spaces, é and 雪"


def test_only_styles_are_blended() -> None:
    with pytest.raises(MetastyleError, match=r"not str: metastyle\.load"):
        metastyle.blend(["mosaic"])  # type: ignore[list-item]
