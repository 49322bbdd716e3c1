"""`serve`: the service itself."""

from functools import partial

import typer

from processor.cli.options import EnvFile
from processor.cli.settings import takes_settings
from processor.config import load_settings


@takes_settings
def serve(*, env_file: EnvFile = None, **flags: str | None) -> None:
    """Serve gRPC with a number of worker processes until SIGTERM or Ctrl-C, then drain.

    At SIGHUP the workers are replaced one by one, with the env file and TLS files as they are then.
    """
    from processor.supervisor import serve as serve_until_stopped

    load = partial(load_settings, env_file, **flags)
    raise typer.Exit(serve_until_stopped(load(), load))
