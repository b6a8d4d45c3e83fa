"""The tags of a film: what its clip says about itself, as far as it is true of the film."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from av.container import InputContainer

from metastyle.files import one_line
from metastyle.films.clip import Clip

TIME_CODE = "timecode"
"""The time code of the first frame. QuickTime and MP4 make a track of it."""

_OF_THE_CLIP_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_OF_THE_CLIP_STREAM = {"encoder", "duration", "number_of_frames", "number_of_bytes", "bps", "alpha_mode"}


@dataclass
class Tags:
    """The tags of a film's file and of its pictures."""

    of_file: dict[str, str] = field(default_factory=dict)
    of_pictures: dict[str, str] = field(default_factory=dict)

    @property
    def have_time_code(self) -> bool:
        return any(name.lower() == TIME_CODE for name in (*self.of_file, *self.of_pictures))


def film_tags(
    clip_file: InputContainer, clip: Clip, accepted: Callable[[Tags], bool], *, cut: bool
) -> tuple[Tags, list[str]]:
    """The clip's tags, and a line for each that is left out.

    Args:
        accepted: whether the film's container takes these tags. It refuses a time code or a kind of 3D that
            it cannot express.
        cut: the film begins later than the clip, whose time code is that of another frame.
    """
    tags = Tags(
        stream_tags(clip_file.metadata, _OF_THE_CLIP_FILE),
        stream_tags(clip_file.streams[clip.index].metadata),
    )
    refused = {name for name in (*tags.of_file, *tags.of_pictures) if cut and name.lower() == TIME_CODE}
    if not accepted(tags):
        refused |= {name for name, text in tags.of_file.items() if not accepted(Tags({name: text}))}
        refused |= {name for name, text in tags.of_pictures.items() if not accepted(Tags({}, {name: text}))}
    left_out = {
        name: held.pop(name) for held in (tags.of_file, tags.of_pictures) for name in refused & {*held}
    }
    return tags, [f"the tag {one_line(f'{name}={text}')} is left out" for name, text in left_out.items()]


def stream_tags(tags: dict[str, str], dropped: set[str] = _OF_THE_CLIP_STREAM) -> dict[str, str]:
    """The tags that are also true of a copy or of a repainted stream."""
    return {name: text for name, text in tags.items() if name.lower().split("-")[0] not in dropped}
