"""Jobs: asked for, followed while they run, stopped, and their results."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

import metastyle
from metastyle.studio.forms import AdaptRequest, PaintRequest, Weighted
from metastyle.studio.items import ItemId, file_answer, store_of
from metastyle.studio.pace import expected
from metastyle.studio.queue import Queue
from metastyle.studio.settings import StudioSettings
from metastyle.studio.store import FINISHED, RUNNING, Job
from metastyle.weights.builtin_styles import builtin_path

router = APIRouter(prefix="/api")


def queue_of(request: Request) -> Queue:
    """The studio's worker."""
    queue: Queue = request.app.state.queue
    return queue


@router.get("/studio")
def about(request: Request) -> dict[str, Any]:
    """What this studio offers, its limits, and the time of adaptations by the last one that was measured."""
    settings: StudioSettings = request.app.state.settings
    limits = settings.limits
    paces = (style.about.get("pace") for style in store_of(request).items("style"))
    pace = next(filter(None, paces), None)
    return {
        "version": metastyle.__version__,
        "picture_bytes": limits.picture_bytes,
        "picture_pixels": limits.picture_pixels,
        "clip_bytes": limits.clip_bytes,
        "films": importlib.util.find_spec("av") is not None,
        "adaptation_seconds": expected(pace) if pace else {},
    }


@router.post("/adaptations", status_code=202)
def ask_adaptation(request: Request, wanted: AdaptRequest) -> dict[str, Any]:
    """Adapt to a painting. The job's result names the style; meanwhile, its parameters can be fetched."""
    for picture in (wanted.painting, *wanted.photos):
        _check_picture(request, picture)
    if wanted.start is not None:
        check_styles(request, [Weighted(style=wanted.start)])
    return added(request, "adapt", wanted.model_dump())


@router.post("/paintings", status_code=202)
def ask_painting(request: Request, wanted: PaintRequest) -> dict[str, Any]:
    """Paint a photograph at full size."""
    _check_picture(request, wanted.photo)
    check_styles(request, wanted.styles)
    for region in wanted.regions:
        _check_picture(request, region.mask)
        check_styles(request, region.styles)
    return added(request, "paint", wanted.model_dump())


@router.get("/jobs")
def list_jobs(request: Request) -> list[dict[str, Any]]:
    """The newest two hundred jobs, the newest first."""
    queue = queue_of(request)
    return [queue.state(job) for job in store_of(request).jobs()]


@router.get("/jobs/{job}")
def see_job(request: Request, job: ItemId) -> dict[str, Any]:
    """The state of a job."""
    return queue_of(request).state(_job(request, job))


@router.get("/jobs/{job}/events", response_class=StreamingResponse)
async def follow_job(request: Request, job: ItemId) -> Response:
    """Server-sent events: 'state', which is what /jobs/{job} says, at every change until the end."""
    found = _job(request, job)

    async def events() -> AsyncIterator[str]:
        async for state in queue_of(request).follow(found.id):
            yield ": waiting\n\n" if state is None else f"event: state\ndata: {json.dumps(state)}\n\n"

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(events(), media_type="text/event-stream", headers=headers)


@router.get("/jobs/{job}/parameters", response_class=FileResponse)
def parameters_so_far(request: Request, job: ItemId) -> Response:
    """All 1,679,235 parameters of an adaptation under way, float16, in the network's order."""
    path = store_of(request).folder / "work" / f"{_job(request, job).id}.f16"
    try:
        data = path.read_bytes()
    except OSError:
        raise HTTPException(404, "there are no parameters yet, or no longer") from None
    return Response(data, media_type="application/octet-stream", headers={"cache-control": "no-store"})


@router.get("/jobs/{job}/result", response_class=FileResponse)
def result_of(request: Request, job: ItemId) -> Response:
    """The picture that a job has made."""
    found = _job(request, job)
    name = (found.result or {}).get("file")
    if name is None:
        raise HTTPException(404, "this job has no file to give, or is not finished")
    return file_answer(store_of(request).folder / "result" / name, filename=f"metastyle-{name}")


@router.post("/jobs/{job}/stop", status_code=202)
def stop_job(request: Request, job: ItemId) -> dict[str, Any]:
    """Stop a job and keep what it has reached: an adaptation ends, and its style is kept."""
    found = _job(request, job)
    if found.state == RUNNING:
        queue_of(request).stop(found.id)
    return queue_of(request).state(found)


@router.delete("/jobs/{job}", status_code=204)
def remove_job(request: Request, job: ItemId) -> None:
    """Cancel a job that is waiting or running, or remove one that is finished, with its result."""
    found = _job(request, job)
    if found.state in FINISHED:
        store_of(request).forget_job(found.id)
    else:
        queue_of(request).cancel(found.id)


def added(request: Request, kind: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """A job, waiting for its turn."""
    store_of(request).check_room(64 << 20)
    queue = queue_of(request)
    return queue.state(queue.add(kind, wanted))


def _job(request: Request, job_id: str) -> Job:
    job = store_of(request).job(job_id)
    if job is None:
        raise HTTPException(404, "there is no such job")
    return job


def _check_picture(request: Request, picture: str) -> None:
    if store_of(request).item(picture, "picture") is None:
        raise HTTPException(404, f"there is no picture {picture}: upload it first")


def check_styles(request: Request, styles: list[Weighted]) -> None:
    """Raise HTTPException unless the studio has all styles."""
    for one in styles:
        if builtin_path(one.style) is None and store_of(request).item(one.style, "style") is None:
            raise HTTPException(404, f"there is no style {one.style}")
