"""`serve`: the service itself."""

import typer

from processor.cli.settings import takes_settings
from processor.config import load_settings


@takes_settings
def serve(**flags: str | None) -> None:
    """Serve gRPC with a number of worker processes until SIGTERM or Ctrl-C, then drain."""
    from processor.supervisor import serve as serve_until_stopped

    raise typer.Exit(serve_until_stopped(load_settings(**flags)))
