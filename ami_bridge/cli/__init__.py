"""
The command line: commands parse, call one function, and an error becomes an exit code.
"""

import contextlib
import importlib
import io
import os
import signal
import sys
import traceback

import click

from ami_bridge import __version__
from ami_bridge.errors import AmiBridgeError

#: Commands, each in the module of its name, which is imported when it is used: help has to
#: be quick. A test holds these lines against the commands' own.
_COMMANDS = {
    "run": "Attach to the PBX and notify.",
    "check": "Say how the rules are understood, and what the PBX thinks of them.",
    "events": "Look at, edit and test the call-event requests of the rules.",
    "status": "Say how the running bridge is.",
    "calls": "Show the calls that are up now.",
    "deliveries": "Look at what was sent and what waits; send again, drop, export.",
    "explain": "Say why a call event was said, or was not.",
    "replay": "Say what the bridge says of recorded calls.",
    "record": "Record what the PBX says, byte for byte.",
    "simulate": "Be an AMI server that plays recordings.",
    "receive": "Receive call-event requests and show them.",
    "demo": "Play recorded calls to a bridge and show the requests that arrive.",
}

_EPILOG = """
\b
Exit codes:
    0  it worked                    69  Asterisk, or the bridge, cannot be reached
    2  the command line is wrong    70  an error of ami-bridge itself
   65  a recording is damaged       77  Asterisk refuses the login
   74  a file cannot be read        78  the rules are wrong

Shell completion: eval "$(_AMI_BRIDGE_COMPLETE=bash_source ami-bridge)", or zsh_source,
or fish_source; see docs/reference/cli.md.
"""

#: So many of the innermost places of an error of our own are named.
_PLACES = 6


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
        if name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """
        Find the command that *args* begin with; say what may be meant where there is none.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from ami_bridge.config.section import did_you_mean  # noqa: PLC0415 - help is quick

            sentence = f"{error.message.rstrip('.')}; {did_you_mean(args[0], _COMMANDS)}"
            raise click.UsageError(sentence, ctx) from None

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """
        Write the list of commands for the help.
        """
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """
        Run a command, to its last written byte.
        """
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read the output has seen enough; nothing more must be written at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(128 + signal.SIGPIPE) from None
        return result


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
    _open_closed_streams()
    _write_every_letter()
    colour = False if "NO_COLOR" in os.environ else None
    try:
        # What `Context.exit` was given is returned; a command itself returns nothing.
        sys.exit(cli.main(prog_name="ami-bridge", standalone_mode=False, color=colour))
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        # Who insists ends Python's own tidying up, without being told what it was doing.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        sys.exit(128 + signal.SIGINT)
    except AmiBridgeError as error:
        _say(str(error), colour)
        sys.exit(error.exit_code)
    except OSError as error:
        _say(f"{error.filename or 'ami-bridge'}: {error.strerror or error}", colour)
        sys.exit(os.EX_IOERR)
    except Exception as error:  # noqa: BLE001 - the outermost edge
        _say(_own_error(error), colour)
        sys.exit(AmiBridgeError.exit_code)


def _say(sentence: str, colour: bool | None) -> None:
    """
    Print the last *sentence*; where that cannot be done the exit code has to do.
    """
    with contextlib.suppress(OSError):
        click.secho(sentence, err=True, fg="red", color=colour)


def _open_closed_streams() -> None:
    """
    Let nothing be read from, and nothing be written to, a standard stream that is closed.

    Else its descriptor would be that of the next file that is opened, such as the store.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115


def _write_every_letter() -> None:
    """
    Let no letter of a name be one that cannot be written, whatever the locale.

    Files and programs get UTF-8; a terminal its own encoding, with marks for what is not in it.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if stream.isatty():
                stream.reconfigure(errors="replace")
            else:
                stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _own_error(error: Exception) -> str:
    """
    Say what a report of *error*, which nobody expected, has to say.
    """
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    places = ", ".join(f"{os.path.basename(one.filename)}:{one.lineno}" for one in frames)  # noqa: PTH119
    return (
        f"ami-bridge {__version__}: an error of its own, please report it: "
        f"{type(error).__name__}: {error} (at {places})"
    )
