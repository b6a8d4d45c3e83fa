"""Pictures and styles: uploaded, listed, viewed, downloaded, removed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, Response
from starlette.exceptions import HTTPException

import metastyle
from metastyle.files import write_bytes
from metastyle.studio import assets
from metastyle.studio.forms import MixRequest, PictureAnswer, RenameRequest, StyleAnswer
from metastyle.studio.settings import StudioSettings
from metastyle.studio.store import Item, Store, new_id
from metastyle.studio.uploads import received, room_to_decode
from metastyle.style import check_base
from metastyle.weights.builtin_styles import builtin_path

router = APIRouter(prefix="/api")

ItemId = Annotated[str, InPath(pattern=r"^[0-9a-z-]{1,64}$")]
Name = Annotated[str, Query(max_length=400, description="for people; never a file's name here")]
PREVIEW_EDGE = 1600
BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}}


def store_of(request: Request) -> Store:
    """The studio's records."""
    store: Store = request.app.state.store
    return store


def file_answer(path: Path, **how: Any) -> FileResponse:
    """The file; HTTPException if somebody has removed it from the studio's folder."""
    if not path.is_file():
        raise HTTPException(404, "this file is no longer in the studio's folder")
    return FileResponse(path, **how)


def limits_of(request: Request) -> Any:
    """The studio's limits."""
    settings: StudioSettings = request.app.state.settings
    return settings.limits


@router.post("/pictures", status_code=201, openapi_extra=BODY)
async def upload_picture(request: Request, name: Name = "picture") -> PictureAnswer:
    """Give the studio a picture: the body is the file, JPEG, PNG, WebP, AVIF, TIFF or HEIC."""
    store, limits = store_of(request), limits_of(request)
    async with received(request, store, "picture", limits.picture_bytes) as (path, digest):
        item = await asyncio.to_thread(store.item, digest[:32], "picture")
        if item is None:
            async with room_to_decode(limits):
                about = await asyncio.to_thread(_take_picture, store, path, digest[:32], limits)
            shown = Path(unquote(name)).stem
            item = await asyncio.to_thread(store.add, "picture", shown, about, digest[:32])
    return _picture(item)


def _take_picture(store: Store, path: Path, item_id: str, limits: Any) -> dict[str, Any]:
    from metastyle.images.encode import save_picture
    from metastyle.studio.tasks import preview_of

    picture, reduced = preview_of(path, PREVIEW_EDGE, limits.picture_pixels)
    width, height = picture.size
    kind = "png" if picture.alpha is not None else "jpg"
    save_picture(reduced, store.folder / "picture" / f"{item_id}.{kind}", overwrite=True)
    path.replace(store.path(item_id, "picture"))
    return {"width": width, "height": height, "alpha": picture.alpha is not None, "preview": kind}


@router.get("/pictures/{picture}")
def see_picture(request: Request, picture: ItemId) -> PictureAnswer:
    """Facts about a picture."""
    return _picture(_item(request, picture, "picture"))


@router.get("/pictures/{picture}/preview", response_class=FileResponse)
def preview_picture(request: Request, picture: ItemId) -> Response:
    """The picture in sRGB, its long edge at most 1600 pixels: what the page paints."""
    item = _item(request, picture, "picture")
    path = store_of(request).folder / "picture" / f"{item.id}.{item.about['preview']}"
    return file_answer(path, headers={"cache-control": "private, max-age=86400"})


@router.delete("/pictures/{picture}", status_code=204)
def remove_picture(request: Request, picture: ItemId) -> None:
    """Remove a picture."""
    store_of(request).remove(_item(request, picture, "picture").id, "picture")


@router.get("/styles")
def list_styles(request: Request) -> list[StyleAnswer]:
    """The studio's own styles, the newest first, then the built-in ones."""
    own = [_style(item) for item in store_of(request).items("style")]
    return own + [StyleAnswer(**style) for style in assets.builtin_styles()]


@router.get("/styles/{style}/file", response_class=FileResponse)
def download_style(request: Request, style: ItemId) -> Response:
    """The style as the command line reads it, .safetensors."""
    path = builtin_path(style) or store_of(request).path(_item(request, style, "style").id, "style")
    return file_answer(path, media_type="application/octet-stream", filename=f"{style}.safetensors")


@router.post("/styles", status_code=201, openapi_extra=BODY)
async def upload_style(request: Request, name: Name = "style") -> StyleAnswer:
    """Give the studio a style file that 'metastyle adapt' has made: the body is the file."""
    store = store_of(request)
    async with received(request, store, "style", limits_of(request).style_bytes) as (path, _):
        return _style(await asyncio.to_thread(_take_style, store, path, Path(unquote(name)).stem))


def _take_style(store: Store, path: Path, name: str) -> Item:
    style = metastyle.load(path)
    check_base(style, assets.model()["base"])
    item_id = new_id()
    path.replace(store.path(item_id, "style"))
    return store.add("style", name, {"from": "imported", "grain": style.grain}, item_id=item_id)


@router.post("/mixtures", status_code=201)
def keep_mixture(request: Request, mix: MixRequest) -> StyleAnswer:
    """Save a mixture of styles as a style, with its recipe."""
    store = store_of(request)
    paths = [
        builtin_path(part.style) or store.path(_item(request, part.style, "style").id, "style")
        for part in mix.styles
    ]
    blended = metastyle.blend([metastyle.load(p) for p in paths], [part.weight for part in mix.styles])
    item_id, target = new_id(), store.folder / "work" / f"{new_id()}.safetensors"
    store.check_room(4 << 20)
    blended.save(target)
    write_bytes(store.path(item_id, "style"), target.read_bytes(), overwrite=True)
    target.unlink()
    about = {"from": "mixture", "grain": blended.grain, "note": blended.painting}
    return _style(store.add("style", mix.name, about, item_id=item_id))


@router.patch("/styles/{style}")
def rename_style(request: Request, style: ItemId, wanted: RenameRequest) -> StyleAnswer:
    """Give one of the studio's own styles another name."""
    item = _item(request, style, "style")
    store_of(request).rename(item.id, wanted.name)
    return _style(_item(request, style, "style"))


@router.delete("/styles/{style}", status_code=204)
def remove_style(request: Request, style: ItemId) -> None:
    """Remove one of the studio's own styles."""
    store_of(request).remove(_item(request, style, "style").id, "style")


def _item(request: Request, item_id: str, kind: str) -> Item:
    item = store_of(request).item(item_id, kind)
    if item is None:
        raise HTTPException(404, f"there is no such {kind} here")
    return item


def _picture(item: Item) -> PictureAnswer:
    known = {key: item.about[key] for key in ("width", "height", "alpha")}
    return PictureAnswer(id=item.id, name=item.name, **known)


def _style(item: Item) -> StyleAnswer:
    return StyleAnswer(
        id=item.id,
        name=item.name,
        origin=item.about["from"],
        grain=item.about.get("grain", 0.0),
        note=item.about.get("note", ""),
        painting=item.about.get("painting"),
    )
