from __future__ import annotations

from annotated_types import MultipleOf

from metastyle.core.checks import hints
from metastyle.core.network import STRIDE
from metastyle.core.settings import AdaptationSettings


def test_sizes_of_contents_are_multiples_of_the_stride() -> None:
    assert MultipleOf(STRIDE) in hints(AdaptationSettings)["size"].__metadata__
