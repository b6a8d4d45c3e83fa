"""The requests and answers of the studio's interface."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Id = Annotated[str, Field(pattern=r"^[0-9a-z-]{1,64}$", description="as an earlier answer gave it")]
Name = Annotated[str, Field(min_length=1, max_length=80)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Weighted(_Form):
    """A style and its weight in a mixture."""

    style: Id
    weight: Annotated[float, Field(ge=0, le=1000)] = 1.0


class AdaptRequest(_Form):
    """Adapt to a painting."""

    painting: Id
    photos: Annotated[list[Id], Field(max_length=12)] = []
    """The photographs that will be painted: adapting on those gives the best results."""
    name: Name = "painting"
    effort: Literal["draft", "normal", "fine"] = "normal"
    steps: Annotated[int | None, Field(ge=0, le=5000)] = None
    grain: Annotated[float | None, Field(ge=0, le=2)] = None
    style_size: Annotated[int | None, Field(ge=64, le=2048)] = None
    start: Id | None = None
    """A style to continue from."""


class Region(_Form):
    """A mask, white inside, and what is painted there."""

    mask: Id
    styles: Annotated[list[Weighted], Field(max_length=8)]


class PaintRequest(_Form):
    """Paint a photograph at any size."""

    photo: Id
    styles: Annotated[list[Weighted], Field(max_length=8)]
    """Mixed by their weights; none leaves the photograph as it is."""
    regions: Annotated[list[Region], Field(max_length=8)] = []
    size: Annotated[int | None, Field(ge=16, le=20_000)] = None
    strength: Annotated[float, Field(ge=0, le=2)] = 1.0
    brush: Annotated[float | None, Field(ge=0.25, le=8)] = None
    grain: Annotated[float | None, Field(ge=0, le=2)] = None
    keep_color: bool = False
    format: Literal["png", "jpg", "webp"] = "png"
    quality: Annotated[int | None, Field(ge=1, le=100)] = None


class FilmRequest(_Form):
    """Paint a clip."""

    clip: Id
    styles: Annotated[list[Weighted], Field(min_length=1, max_length=8)]
    begin: Annotated[float | None, Field(ge=0, le=1e6)] = None
    """Seconds after the clip's beginning."""
    end: Annotated[float | None, Field(gt=0, le=1e6)] = None
    size: Annotated[int | None, Field(ge=16, le=16_384)] = None
    strength: Annotated[float, Field(ge=0, le=2)] = 1.0
    brush: Annotated[float | None, Field(ge=0.25, le=8)] = None
    grain: Annotated[float | None, Field(ge=0, le=2)] = None
    keep_color: bool = False
    smoothing: Annotated[float, Field(ge=0, le=0.9)] = 0.5
    preview: bool = False
    """Paint three frames instead."""


class MixRequest(_Form):
    """Save a mixture as a style."""

    styles: Annotated[list[Weighted], Field(min_length=2, max_length=8)]
    name: Name


class RenameRequest(_Form):
    """Give a style another name."""

    name: Name


class PictureAnswer(BaseModel):
    """A picture that was uploaded."""

    id: Id
    name: str
    width: int
    height: int
    alpha: bool


class ClipAnswer(BaseModel):
    """A clip that was uploaded."""

    id: Id
    name: str
    width: int
    height: int
    seconds: float | None
    rate: float


class StyleAnswer(BaseModel):
    """A style that can be used."""

    id: Id
    name: str
    origin: Literal["builtin", "painting", "mixture", "imported"]
    grain: float
    note: str = ""
    """Artist and year, or the recipe of a mixture."""
    painting: str | None = None
    """The painting that it was adapted to, if the studio has it."""


class ErrorAnswer(BaseModel):
    """What was wrong, in a line."""

    error: str
