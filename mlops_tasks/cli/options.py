"""What the commands share: the application, exit codes, and the options that many of them have.

Exit codes: 0 done; 1 something the user can put right (said in one message); 2 wrong usage;
3 refused by the gate, the policy or a check; 4 waiting for an approval; 130 interrupted.
"""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Train, gate, register, approve, promote and score models of a project.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

REFUSED = 3
WAITING = 4
INTERRUPTED = 130

Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Hydra overrides, for example `model=linear seed=1`.", metavar="KEY=VALUE"),
]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="A Hydra override, for example stack=team.")
]
ProjectFolder = Annotated[
    Path, typer.Option("--project", help="The project's folder, or one inside it.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show Prefect's own log as well.")]
