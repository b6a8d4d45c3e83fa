"""The HTTP interface conforms to its OpenAPI description for random requests (schemathesis)."""

from __future__ import annotations

import os
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = int(os.environ.get("METASTYLE_SCHEMA", "20"))
"""Requests per operation; set METASTYLE_SCHEMA=500 for a long run."""
schemathesis = pytest.importorskip("schemathesis")
uvicorn = pytest.importorskip("uvicorn")

from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from metastyle.studio.app import create_app  # noqa: E402
from metastyle.studio.settings import StudioSettings  # noqa: E402

from .conftest import LIMITS  # noqa: E402

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
"""Valid data need not be accepted, because the description cannot say which bytes are a picture."""

STREAMS = ("events",)
"""Operations whose answer lasts until a job ends."""


@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore")
def test_every_answer_conforms_to_the_description(tmp_path: Path) -> None:
    """No status of 500 or above, and no status, type or schema that is not in /api/openapi.json."""
    limits = replace(LIMITS, waiting=4)
    app = create_app(StudioSettings(folder=tmp_path / "own", device="cpu", limits=limits))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    schema = schemathesis.openapi.from_url(f"{address}/api/openapi.json")
    failures: dict[str, str] = {}
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith(STREAMS):
            continue
        count += 1
        try:
            _try(operation, address)
        except (Exception, BaseExceptionGroup) as error:
            why = "".join(traceback.format_exception_only(error))
            failures[f"{operation.method} {operation.path}"] = why[:1500]
    server.should_exit = True
    thread.join(timeout=30)
    assert count > 15
    assert not failures, "\n\n".join(f"{where}\n{why}" for where, why in failures.items())


def _try(operation: Any, address: str) -> None:
    """Send requests that conform to the description of an operation, and others that do not."""

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        # A full queue is described and not a fault.
        answer = case.call(base_url=address)
        if answer.status_code != 503:
            case.validate_response(answer, checks=CHECKS)

    check()
