"""`firstlight diagrams`."""

from __future__ import annotations

import socket
import webbrowser
from pathlib import Path
from typing import Any

import click

from milestones.errors import UserError
from milestones.options import MODEL, QUIET, model_path
from milestones.terminal import write


@click.command(short_help="Live diagrams in the browser.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; the default is this machine alone.")
@click.option("--no-browser", "browser", flag_value=False, default=True, help="Open no browser, only say the address.")
@click.option("--export", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Serve nothing: write a static site.")
@QUIET
@MODEL
def diagrams(port: int, host: str, browser: bool, folder: Path | None, quiet: bool, model: Path | None) -> None:
    """Serve the live diagrams, pages whose numbers come from the engine's own kernels, until Ctrl-C.

    The address goes to standard output. Nothing is loaded from elsewhere. With --export, pages and recorded numbers for some
    texts go to a new folder DIR, for any web host.
    """
    if folder is not None:
        _export(folder, quiet, model)
        return
    from milestones.diagrams.device import Device
    from milestones.diagrams.worker import Worker
    from milestones.m1.model_file import open_model

    with _listen(host, port) as taken:
        path = model_path(model, quiet)
        file = open_model(path)
        file.config()  # before the page is there: a file that cannot be used is one line here
        port = taken.getsockname()[1]
        worker = Worker(lambda: Device(path, file))
        worker.start()
        worker.warm("tokenizer")  # which every page needs, while the rest is imported

        import uvicorn

        from milestones.diagrams.guard import Guard
        from milestones.diagrams.server import application

        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{port}/"
        write(f"{address}\n")
        if not quiet:
            click.echo("Ctrl-C ends it", err=True)
        if browser:
            webbrowser.open(address)
        options: dict[str, Any] = {"log_level": "critical", "access_log": False, "server_header": False, "lifespan": "off"}
        server = uvicorn.Server(uvicorn.Config(application(worker, Guard(host, port)), timeout_graceful_shutdown=1, **options))
        try:
            server.run(sockets=[taken])
        except KeyboardInterrupt:  # how a server ends
            click.echo("", err=True)


def _export(folder: Path, quiet: bool, model: Path | None) -> None:
    from milestones.diagrams.device import Device
    from milestones.diagrams.export import export

    size = export(Device(model_path(model, quiet)), folder, lambda line: None if quiet else click.echo(line, err=True))
    if not quiet:
        click.echo(f"{size / 1e6:.1f} MB", err=True)


def _listen(host: str, port: int) -> socket.socket:
    """The socket, bound. Raises UserError, one line."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        taken = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as problem:
        raise UserError(f"--host {host!r} is no address to listen on ({problem}): leave it out for 127.0.0.1") from None
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
        taken.listen(128)
    except OSError as problem:
        taken.close()
        where = f"{host}:{port}"
        raise UserError(f"{where} cannot be listened on ({problem.strerror}): give another --port, 0 for a free one") from None
    return taken
