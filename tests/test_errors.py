"""Errors are one printable line, even if the file names in them are not."""

from __future__ import annotations

import pytest
from PIL import Image

import metastyle
from metastyle.errors import MetastyleError


@pytest.mark.parametrize("name", ["no\nsuch", "no\x1b[2Jsuch", "no\u2028such", "no\udcffsuch"])
def test_unprintable_file_names_are_escaped(name: str) -> None:
    assert str(MetastyleError(f"{name}: missing")).isprintable()
    for call in (
        lambda: metastyle.load(f"{name}.safetensors"),
        lambda: metastyle.stylize(Image.new("RGB", (16, 16)), f"{name}.safetensors"),
    ):
        with pytest.raises(MetastyleError) as caught:
            call()
        assert str(caught.value).isprintable()
        assert "such" in str(caught.value)


def test_printable_text_is_unchanged() -> None:
    assert str(MetastyleError("two  spaces, é and 雪")) == "two  spaces, é and 雪"
