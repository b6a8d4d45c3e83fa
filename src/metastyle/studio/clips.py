"""Films over HTTP: clips are uploaded and seen, films and previews asked for."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

from metastyle.errors import MetastyleError
from metastyle.studio.forms import ClipAnswer, FilmRequest
from metastyle.studio.items import BODY, ItemId, Name, file_answer, limits_of, store_of
from metastyle.studio.store import Item, new_id
from metastyle.studio.uploads import received, room_to_decode
from metastyle.studio.work import added, check_styles

router = APIRouter(prefix="/api")

_CONTAINERS = {
    (0, b"\x1a\x45\xdf\xa3"): "video/webm",
    (4, b"ftyp"): "video/mp4",
    (0, b"OggS"): "video/ogg",
}
"""The media types that browsers play, by a position in the file and the bytes there."""


def films_can_be_made() -> bool:
    """Whether the packages for films are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("av", "cv2"))


@router.post("/clips", status_code=201, openapi_extra=BODY)
async def upload_clip(request: Request, name: Name = "clip") -> ClipAnswer:
    """Give the studio a clip: the body is the file, of any container and codec that FFmpeg reads."""
    _check_films()
    from metastyle.studio.film_tasks import describe_clip

    store, limits = store_of(request), limits_of(request)
    async with received(request, store, "clip", limits.clip_bytes) as (path, _):
        async with room_to_decode(limits):
            about = await asyncio.to_thread(describe_clip, path)
        item_id = new_id()
        path.replace(store.path(item_id, "clip"))
        return _answer(await asyncio.to_thread(store.add, "clip", Path(unquote(name)).stem, about, item_id))


@router.get("/clips/{clip}")
def see_clip(request: Request, clip: ItemId) -> ClipAnswer:
    """Facts about a clip."""
    return _answer(_clip(request, clip))


@router.get("/clips/{clip}/file", response_class=FileResponse)
def clip_file(request: Request, clip: ItemId) -> Response:
    """The clip as it was uploaded, also in parts (Range)."""
    path = store_of(request).path(_clip(request, clip).id, "clip")
    with path.open("rb") as file:
        head = file.read(8)
    kinds = (kind for (at, magic), kind in _CONTAINERS.items() if head[at:].startswith(magic))
    kind = next(kinds, "application/octet-stream")
    return file_answer(path, media_type=kind, headers={"cache-control": "private, max-age=86400"})


@router.delete("/clips/{clip}", status_code=204)
def remove_clip(request: Request, clip: ItemId) -> None:
    """Remove a clip."""
    store_of(request).remove(_record(request, clip).id, "clip")


@router.post("/films", status_code=202)
def ask_film(request: Request, wanted: FilmRequest) -> dict[str, Any]:
    """Paint a clip. With 'preview', only three frames of it, side by side in one picture."""
    _check_films()
    clip = _clip(request, wanted.clip)
    check_styles(request, wanted.styles)
    if wanted.begin is not None and wanted.end is not None and wanted.end <= wanted.begin:
        raise HTTPException(422, f"end: {wanted.end:g} s is not after begin, {wanted.begin:g} s")
    document = wanted.model_dump(exclude={"preview"}) | {"name": clip.name}
    return added(request, "preview" if wanted.preview else "film", document)


def _check_films() -> None:
    if not films_can_be_made():
        raise MetastyleError("films need more packages: pip install 'metastyle[video]'")


def _clip(request: Request, clip: str) -> Item:
    item = _record(request, clip)
    if not store_of(request).path(clip, "clip").is_file():
        raise HTTPException(404, f"there is no clip {clip} in the studio's folder any more: upload it again")
    return item


def _record(request: Request, clip: str) -> Item:
    item = store_of(request).item(clip, "clip")
    if item is None:
        raise HTTPException(404, f"there is no clip {clip}: upload it first")
    return item


def _answer(item: Item) -> ClipAnswer:
    return ClipAnswer(id=item.id, name=item.name, **item.about)
