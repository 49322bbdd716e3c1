"""`chain`: the tenants."""

from typing import Annotated

import typer

from processor.cli.options import AsJson, ChainName, Dsn, as_owner
from processor.cli.output import print_json, print_line, print_table
from storage.directory import create_chain, list_chains

app = typer.Typer(no_args_is_help=True, help="Chains: the retail chains that share the service.")


@app.command()
def create(
    name: ChainName,
    window_back_days: Annotated[
        int, typer.Option(min=1, max=36_500, help="How old a sale may be when it is first sent.")
    ] = 45,
    window_ahead_minutes: Annotated[
        int, typer.Option(min=0, max=1_440, help="How far a till's clock may be ahead.")
    ] = 10,
    dsn: Dsn = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create a chain with the default program: 1 point per 100.00, worth 1.00, for at most half a receipt."""
    chain_id = as_owner(
        dsn,
        lambda connection: create_chain(
            connection,
            name,
            window_back_seconds=window_back_days * 86_400,
            window_ahead_seconds=window_ahead_minutes * 60,
        ),
    )
    if as_json:
        print_json({"chain_id": chain_id, "name": name})
    else:
        print_line(f"Chain {name} is there; give it an API key with: loyalty-processor key create {name}")


@app.command("list")
def show_all(dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """List all chains."""
    chains = as_owner(dsn, list_chains)
    if as_json:
        print_json([chain._asdict() for chain in chains])
        return
    print_table(
        ("#id", "name", "#days back", "#minutes ahead"),
        [
            (
                chain.chain_id,
                chain.name,
                f"{chain.window_back_seconds / 86_400:g}",
                f"{chain.window_ahead_seconds / 60:g}",
            )
            for chain in chains
        ],
    )
