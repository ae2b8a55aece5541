"""
The command line: commands parse, call one function, and an error becomes an exit code.
"""

import importlib
import os
import signal
import sys

import click

from ami_bridge import __version__
from ami_bridge.errors import AmiBridgeError

#: Command to the module that holds it, imported when it is used: help has to be quick.
_COMMANDS = {
    "run": "run",
    "check": "check",
    "replay": "replay",
    "record": "record",
    "receive": "receive",
}

_EPILOG = """
\b
Exit codes:
    0  it worked                    69  Asterisk cannot be reached
    2  the command line is wrong    70  an error of ami-bridge itself
   65  a recording is damaged       77  Asterisk refuses the login
   74  a file cannot be read        78  the rules are wrong

Shell completion: eval "$(_AMI_BRIDGE_COMPLETE=bash_source ami-bridge)", or zsh_source,
or fish_source; see docs/cli.md.
"""


class _Commands(click.Group):
    """
    The commands, each imported when somebody asks for it.
    """

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """
        Name the commands in the order in which a newcomer meets them.
        """
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """
        Find the command called *name*.
        """
        module = _COMMANDS.get(name)
        if module is None:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{module}").command
        return command


@click.command(
    cls=_Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="ami-bridge")
def cli() -> None:
    """
    Tells web applications what happens on the phones of an Asterisk PBX.

    Try `ami-bridge demo` first; then write rules.toml, see that `ami-bridge check --connect` is
    content, and leave `ami-bridge run` to systemd.
    """


def main() -> None:
    """
    Run the command line, and end with the exit code that says who has to act.
    """
    colour = False if "NO_COLOR" in os.environ else None
    try:
        cli.main(prog_name="ami-bridge", standalone_mode=False, color=colour)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing more must be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except AmiBridgeError as error:
        click.secho(str(error), err=True, fg="red", color=colour)
        sys.exit(error.exit_code)
    except OSError as error:
        click.secho(f"{error.filename or 'ami-bridge'}: {error.strerror or error}", err=True)
        sys.exit(os.EX_IOERR)
