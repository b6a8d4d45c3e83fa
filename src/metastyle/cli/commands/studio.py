"""``metastyle studio``."""

from __future__ import annotations

import secrets
import socket
import webbrowser
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import Annotated

from annotated_types import Ge, Le
from cyclopts import Parameter

from metastyle.cli.errors import DONE
from metastyle.cli.extras import needs
from metastyle.cli.options import FLAG, Common, Whole
from metastyle.cli.output import Outcome, Speaker
from metastyle.errors import MetastyleError
from metastyle.locks import claimed


def studio(
    *,
    host: str = "127.0.0.1",
    port: Annotated[Whole, Ge(0), Le(65535)] = 8741,
    no_open: Annotated[bool, FLAG] = False,
    folder: Annotated[Path | None, Parameter(metavar="FOLDER")] = None,
    export: Annotated[Path | None, Parameter(metavar="DIR")] = None,
    device: str = "auto",
    common: Common = Common(),  # noqa: B008 (frozen)
) -> Outcome | int:
    """Open a page where a painting becomes a filter.

    Drop a painting and a photograph: the photograph appears painted at once and
    gets better during the adaptation. Only this machine can reach the
    page, unless another host is given; then its address contains a token.

    For example:

        metastyle studio
        metastyle studio --port 9000 --no-open
        metastyle studio --host 0.0.0.0
        metastyle studio --export site

    Args:
        host: The address to listen at: 0.0.0.0 for every machine that can reach this one.
        port: The port to listen at; 0 takes a free one.
        no_open: Do not open the page in a browser.
        folder: Where styles, pictures and results are kept; without it, your own data folder.
        export: Write the page as a folder for any static web host instead: it has the built-in
            styles, your paintings at first sight, mixing and the camera, and needs no server.
        device: auto, cpu, cuda, cuda:N or mps.
    """
    with needs("studio", "the studio"):
        if export is not None:
            return _exported(export)
        _serve(host, port, folder, device, Speaker(common.json, common.quiet), no_open=no_open)
    return DONE


def _serve(
    host: str, port: int, folder: Path | None, device: str, speaker: Speaker, *, no_open: bool
) -> None:
    """Run the server until Ctrl-C."""
    import uvicorn

    from metastyle.studio.app import create_app
    from metastyle.studio.assets import PAGE
    from metastyle.studio.settings import StudioSettings, default_folder, is_loopback

    listener = _listen(host, port)
    token = None if is_loopback(host) else secrets.token_urlsafe(24)
    settings = StudioSettings(
        folder=folder or default_folder(),
        host=host,
        port=listener.getsockname()[1],
        token=token,
        device=device,
    )
    with closing(listener), claimed(settings.folder, "a studio that keeps its files there"):
        app = create_app(settings)
        if not PAGE.is_dir():
            speaker.line(
                "the page has not been built: 'make studio' does that; programs can use the interface"
            )
        address = _address(host, settings.port, token)
        speaker.line(f"{address}  (Ctrl-C ends the studio)")
        if not no_open:
            opening = Timer(1.0, webbrowser.open, [address])
            opening.daemon = True
            opening.start()
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
            ws="none",
        )
        uvicorn.Server(config).run(sockets=[listener])


def _address(host: str, port: int, token: str | None) -> str:
    """The page's address, for a browser on this machine."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def _exported(folder: Path) -> Outcome:
    """Write the page for a static web host."""
    from metastyle.studio.site import export_site

    size = export_site(folder)
    return Outcome(
        "studio",
        outputs=[{"output": folder, "bytes": size}],
        lines=[f"{folder}  {size / 1e6:.1f} MB"],
    )


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        MetastyleError: the port is in use, or there is no such address here.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise MetastyleError(
            f"cannot listen at {host}:{port} ({error.strerror or error}): choose another --port or --host"
        ) from None
    return listener
