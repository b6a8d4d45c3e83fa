"""One call of ``metastyle stylize``, from its photographs and styles to the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metastyle.cli.adaptation import Adapter, Prepared
from metastyle.cli.batch import Batch, arrivals
from metastyle.cli.contents import photographs
from metastyle.cli.errors import BUG, DONE, INTERRUPTED, SOME_FAILED, USAGE
from metastyle.cli.extras import needs
from metastyle.cli.inputs import PIPE, Job, is_folder, is_pipe, source
from metastyle.cli.options import AdaptationOptions, AdaptationSources, Common
from metastyle.cli.output import Display, Outcome, Speaker
from metastyle.cli.photos import FoundPhotos, find_photos, is_single
from metastyle.cli.results import RenderArguments
from metastyle.cli.streams import STDOUT
from metastyle.cli.style_option import Masked, Part, look_digest, mixture_name
from metastyle.errors import MetastyleError

if TYPE_CHECKING:
    from metastyle.images.contents import Contents
    from metastyle.images.picture import Picture
    from metastyle.style import RenderOptions

GPU_BATCH = 8
"""Photographs that a GPU repaints together by default."""


@dataclass(frozen=True)
class Request:
    """The arguments of the call."""

    photos: list[Path]
    parts: list[Part]
    masks: list[Masked]
    output: str | None
    options: RenderOptions
    """How each picture is painted; part of the results' look."""
    device: str
    max_memory: int | None
    feather: float
    match_color: bool
    overwrite: bool
    watch: bool
    shard: tuple[int, int]
    workers: int | None
    batch: int | None
    adaptation: AdaptationOptions
    sources: AdaptationSources
    common: Common

    def check(self) -> None:
        """Raise MetastyleError for options that exclude each other."""
        if PIPE in [part.path for part in self.parts] and PIPE in self.photos:
            raise MetastyleError("- can be the photograph or the style, not both")
        if self.match_color and not any(part.is_painting for part in self.parts):
            raise MetastyleError(
                "--match-color recolors a painting before the adaptation: give --style a painting"
            )
        if self.watch and not all(photo.is_dir() for photo in self.photos):
            raise MetastyleError("--watch looks at folders: give one or more, and nothing else")
        if self.watch and self.match_color:
            raise MetastyleError("--match-color needs a first photograph before it begins: not with --watch")
        if self.workers is not None:
            if self.watch or self.batch is not None or any(map(is_pipe, self.photos)):
                raise MetastyleError(
                    "--workers repaints folders and lists: give it no --watch, no --batch and no pipe"
                )
            with needs("scale", "--workers"):
                import ray  # noqa: F401

    def look(self) -> str:
        """The digest of everything that affects how results look."""
        return look_digest(
            self.parts,
            self.masks,
            self.adaptation,
            self.sources,
            **self.options,
            match_color=self.match_color,
            feather=self.feather if self.masks else None,
        )

    @property
    def several(self) -> bool:
        """Whether there may be more than one photograph."""
        return self.watch or not is_single(self.photos)


def repaint(request: Request) -> Outcome:
    """Repaint the requested photographs.

    Raises:
        MetastyleError: nothing can be done at all.
    """
    started = time.perf_counter()
    request.check()
    look = request.look()

    def find(*, overwrite: bool) -> FoundPhotos:
        return find_photos(
            request.photos,
            mixture_name(request.parts),
            None if request.output is None else Path(request.output),
            into_folder=request.output is not None and is_folder(request.output),
            overwrite=overwrite,
            look=look,
            shard=request.shard,
            not_photos=[part.path for part in request.parts] + [one.mask for one in request.masks],
            may_be_empty=request.watch,
        )

    call = _Call(request, look, find(overwrite=request.overwrite))
    with Display(request.common.quiet) as display:
        batch = Batch(display, call.speaker, request.common.debug)
        with _interruptible(call.interruption):
            call.run(batch, lambda: find(overwrite=False))
    return call.outcome(batch, time.perf_counter() - started)


@dataclass
class _Call:
    """A request whose photographs have been found."""

    request: Request
    look: str
    found: FoundPhotos
    prepared: Prepared | None = None
    interruption: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        from metastyle.images.decode import open_picture

        if self.to_stdout:
            _check_stdout(self.found.jobs, self.request.common)
        self.settings = self.request.adaptation.settings(self.request.device)
        self.masks = [open_picture(source(one.mask)) for one in self.request.masks]

    @property
    def to_stdout(self) -> bool:
        return PIPE in [job.output for job in self.found.jobs]

    @property
    def speaker(self) -> Speaker:
        common = self.request.common
        return Speaker(common.json, common.quiet or self.to_stdout)

    def run(self, batch: Batch, find: Callable[[], FoundPhotos]) -> None:
        """Repaint the photographs, and with ``--watch`` those that ``find`` finds later."""
        request, found = self.request, self.found
        batch.failed |= found.refused
        # Before a minute of adaptation: is any photograph readable?
        jobs = batch.readable(found.jobs)
        _announce(found, batch.display)
        if not jobs and not request.watch:
            return
        arguments = self._render_arguments(batch, jobs)
        together = self._together()
        if request.workers is None:
            batch.repaint(jobs, arguments, overwrite=request.overwrite, together=together)
        else:
            batch.repaint_with_ray(jobs, arguments, request.workers, overwrite=request.overwrite)
        if request.watch:
            _watch(batch, arguments, find, {job.photo for job in found.jobs}, together)

    def _render_arguments(self, batch: Batch, jobs: list[Job]) -> RenderArguments:
        """Prepare the styles, adapting to paintings, and everything else that painting needs."""
        request = self.request
        adapter = Adapter(self.settings, request.sources, request.device, batch.display)
        first = batch.opened[1] if batch.opened else None
        own = self._own_contents(jobs, first)
        self.prepared = adapter.prepare(request.parts, own, first if request.match_color else None)
        others = [adapter.prepare([one.part], own).style if one.part else None for one in request.masks]
        return RenderArguments(
            self.prepared.style,
            list(zip(self.masks, others, strict=True)),
            request.feather,
            {**request.options, "max_memory": request.max_memory, "device": request.device},
            self.look,
        )

    def _own_contents(self, jobs: list[Job], first: Picture | None) -> Contents | None:
        """The call's photographs, as contents; None if there is only an empty folder to watch."""
        found = self.found
        if not (jobs or found.finished or found.unknown):
            return None
        only = first if len(found.photos) == 1 else None
        return photographs(self.request.photos, found.photos, self.settings.size, only)

    def _together(self) -> int:
        from metastyle.core.device import pick_device

        if self.request.batch is not None:
            return self.request.batch
        return 1 if pick_device(self.request.device).type == "cpu" else GPU_BATCH

    def outcome(self, batch: Batch, seconds: float) -> Outcome:
        """The outcome of the call."""
        found, several = self.found, self.request.several
        code = DONE
        if batch.failed:
            code = BUG if batch.bug else SOME_FAILED if several else USAGE
        heading = []
        if several and batch.failed:
            total = len(batch.failed) + len(batch.written)
            heading = [f"{len(batch.failed)} of {total} photographs could not be repainted:"]
        left_out = [{"picture": picture, "what": what} for picture, what in found.left_out.items()]
        details: dict[str, Any] = {"finished": [*found.finished, *found.unknown], "left_out": left_out}
        if self.prepared is not None:
            details["style"] = self.prepared.record()
        return Outcome(
            "stylize",
            outputs=batch.written,
            errors=[
                *({"photo": photo, "error": error} for photo, error in batch.failed.items()),
                *({"error": line} for line in self.interruption),
            ],
            details=details | {"seconds": round(seconds, 3)},
            problems=[*heading, *batch.failed.values(), *self.interruption],
            code=INTERRUPTED if self.interruption else code,
        )


@contextmanager
def _interruptible(lines: list[str]) -> Iterator[None]:
    """Ctrl-C ends the block but not the report, to whose ``lines`` it is added."""
    try:
        yield
    except KeyboardInterrupt:
        lines.append("interrupted")


def _announce(found: FoundPhotos, display: Display) -> None:
    """Print which pictures are left alone, and which results have unexpected names."""
    if count := len(found.finished):
        display.note(f"{count} results existed already" if count > 1 else "1 result existed already")
    if found.unknown:
        display.note(f"considered finished by name alone: {_some(found.unknown)}")
    left_out = {picture: what for picture, what in found.left_out.items() if picture not in found.finished}
    for what in dict.fromkeys(left_out.values()):
        pictures = [picture for picture, is_ in left_out.items() if is_ == what]
        display.note(f"left out as {what}: {_some(pictures)}")
    for note in found.notes:
        display.note(note)


def _some(paths: list[Path]) -> str:
    names = ", ".join(path.name for path in paths[:3])
    return names if len(paths) <= 3 else f"{names} and {len(paths) - 3} more"


def _watch(
    batch: Batch, arguments: RenderArguments, find: Callable[[], FoundPhotos], seen: set[Path], together: int
) -> None:
    """Repaint new photographs until Ctrl-C, which drops the current one."""

    def list_jobs() -> list[Job]:
        found = find()
        for photo, why in found.refused.items():
            if photo not in batch.failed:
                batch.failed[photo] = why
                batch.display.note(why)
        return found.jobs

    batch.display.note("watching: Ctrl-C ends it")
    try:
        for arrived in arrivals(list_jobs, seen):
            batch.repaint(arrived, arguments, overwrite=False, together=together)
    except KeyboardInterrupt:
        batch.display.note("stopped watching")


def _check_stdout(jobs: list[Job], common: Common) -> None:
    if len(jobs) > 1:
        raise MetastyleError("a photograph from stdin goes to stdout alone: give -o FOLDER for several")
    if common.json:
        raise MetastyleError("--json and the picture cannot both go to stdout: give -o FILE")
    if STDOUT.stream is None:
        raise MetastyleError("the picture would go to stdout, which is closed: give -o FILE")
    if STDOUT.isatty():
        raise MetastyleError("the picture would be written to the terminal: give -o FILE, or redirect stdout")
