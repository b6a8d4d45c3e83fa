"""Bytes from a client to a file: counted while they arrive, decoded by the library's own guards."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
from fastapi import Request
from starlette.exceptions import HTTPException

from metastyle.studio.settings import Limits
from metastyle.studio.store import FullError, Store, new_id

_decoding = asyncio.Semaphore(1)
"""One picture is decoded at a time: a hundred megapixels take a gigabyte."""


@asynccontextmanager
async def received(request: Request, store: Store, kind: str, most: int) -> AsyncIterator[tuple[Path, str]]:
    """The request's body as a file beside its final place, and its sha256; gone when the block ends.

    Raises:
        HTTPException: it is empty (422) or larger than ``most`` bytes (413).
        FullError: it cannot be kept.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > most:
        raise _too_large(most)
    await asyncio.to_thread(store.check_room, int(stated) if stated.isdigit() else 0)
    path = store.folder / kind / f".{new_id()}.part"
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise _too_large(most)
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
        if size == 0:
            raise HTTPException(422, "the request's body is empty: send the file's bytes")
        yield path, digest.hexdigest()
    except OSError as error:
        raise FullError(f"the upload cannot be kept: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@asynccontextmanager
async def room_to_decode(limits: Limits) -> AsyncIterator[None]:
    """Wait for the turn to decode.

    Raises:
        FullError: memory is low.
    """
    async with _decoding:
        if psutil.virtual_memory().available < limits.free_bytes:
            raise FullError("memory is low: close other programs, or try a smaller picture")
        yield


def _too_large(most: int) -> HTTPException:
    return HTTPException(413, f"larger than {most / 1e6:.0f} MB, which is the limit")
