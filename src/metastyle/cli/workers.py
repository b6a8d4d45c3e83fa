"""Repainting on many machines: a Ray Data job with one process per worker (extra ``scale``)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.data
import torch

from metastyle.cli.errors import BUG, explain
from metastyle.cli.inputs import Job
from metastyle.cli.results import RenderArguments, paint_together, write_one
from metastyle.errors import MetastyleError
from metastyle.images.decode import open_picture


class _Painter:
    """One worker, which has the styles and repaints the photographs it gets."""

    def __init__(self, arguments: RenderArguments, overwrite: bool) -> None:
        torch.set_num_threads(1)  # one process per processor
        self._arguments, self._overwrite = arguments, overwrite

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        job = Job(Path(row["photo"]), Path(row["output"]))
        try:
            (painted,), spent = paint_together([open_picture(job.photo)], self._arguments)
            record = write_one(job, painted, spent, self._arguments.look, overwrite=self._overwrite)
        except Exception as error:  # a failure does not affect the others
            line, code = explain(error)
            if not isinstance(error, MetastyleError):
                line = f"{job.photo}: {line}"
            return row | {"error": line, "bug": code == BUG, "width": 0, "height": 0, "seconds": 0.0}
        strings = {"photo": str(job.photo), "output": str(job.output)}
        return row | record | strings | {"error": "", "bug": False}


def repaint_all(
    jobs: Sequence[Job], arguments: RenderArguments, workers: int, *, overwrite: bool
) -> Iterator[dict[str, Any]]:
    """Repaint with ``workers`` processes; a record for each photograph as it is done, or its error.

    If ``RAY_ADDRESS`` names a running cluster, it is used; its machines must see the photographs under the
    same paths. Otherwise Ray is started on this machine alone, and stopped afterwards.
    """
    ours = not ray.is_initialized()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # makes Ray print less
    if ours:
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address="127.0.0.1",
        )
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False  # the command has its own bars
        rows = [{"photo": str(job.photo.absolute()), "output": str(job.output.absolute())} for job in jobs]
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Painter,
            fn_constructor_args=(arguments, overwrite),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,
        )
        for row in done.iter_rows():
            if not row["error"]:
                del row["error"], row["bug"]
            yield row
    finally:
        if ours:
            ray.shutdown()
