"""
``ami-bridge events``: the call-event requests of the rules, looked at and edited in their file.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ami_bridge.config import load_config
from ami_bridge.config.editing import Attributes, RulesFile
from ami_bridge.config.section import did_you_mean
from ami_bridge.control.client import ControlClient, socket_of
from ami_bridge.core.call_events import EventType
from ami_bridge.errors import BridgeRefused, BridgeUnreachable, ConfigError
from ami_bridge.sampling import send_sample
from ami_bridge.settings import Config

from .options import find_rules, rules_option
from .requests_shown import as_understood, listed, sampled, told

_F = Callable[..., Any]
#: A sample that the receiver has not taken ends so.
_NOT_TAKEN = 1
#: Where a running bridge is told to read its rules, and how long it is waited for.
_RELOAD = "/api/v1/reload"
_RELOAD_SECONDS = 5.0


class Assignment(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """
    A name and a value, with a separator between.
    """

    def __init__(self, separator: str, name: str) -> None:
        self._separator = separator
        self.name = name

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """
        Give name and value; spaces around them are no part of them.
        """
        if isinstance(value, tuple):
            return value
        left, separator, right = str(value).partition(self._separator)
        if not separator or not left.strip():
            self.fail(f"{value!r} is not {self.name}", param, ctx)
        return left.strip(), right.strip()


def _complete_ids(
    ctx: click.Context, _param: click.Parameter, incomplete: str
) -> list[str]:  # pragma: no cover - the shell runs it
    """
    Offer the ids of the rules file, if it can be read.
    """
    try:
        config = load_config(
            find_rules(ctx.params.get("rules")), secret_needed=False, credentials_needed=False
        )
    except ConfigError:
        return []
    return [rule.id for rule in config.rules if rule.id.startswith(incomplete)]


def ids_argument(command: _F) -> _F:
    """
    Give *command* the ids of one or more requests.
    """
    return click.argument(
        "ids", nargs=-1, required=True, metavar="ID...", shell_complete=_complete_ids
    )(command)


def id_argument(command: _F) -> _F:
    """
    Give *command* the id of one request.
    """
    return click.argument("request_id", metavar="ID", shell_complete=_complete_ids)(command)


@click.group("events")
def command() -> None:
    """
    Look at the call-event requests of the rules file, and edit them there.

    Comments, order and formatting of the file stay. What would not be valid is refused, and
    nothing is written then. A running bridge uses the change within 2 seconds.

    \b
    ami-bridge events list
    ami-bridge events add --extension '0003*001' --event Dial-In --url https://crm.example.org/
    ami-bridge events test ID
    """


@command.command("list", short_help="List the requests.")
@rules_option
@click.option("--json", "as_json", is_flag=True, help="One JSON array, with all attributes.")
def list_requests(rules: Path | None, as_json: bool) -> None:
    """
    List the requests: id, extension, event, method, URL, status and notes.
    """
    requests = _load(rules).rules
    if as_json:
        shown = [as_understood(rule) for rule in requests]
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    elif requests:
        for line in listed(requests):
            click.echo(line)
    else:
        click.secho("The rules have no requests; `events add` makes one.", err=True, fg="yellow")


@command.command("show", short_help="Show one request.")
@rules_option
@id_argument
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(rules: Path | None, request_id: str, as_json: bool) -> None:
    """
    Show one request as it is written, and how it is understood; secrets are not shown.
    """
    file = _open(rules)
    _check_ids(file, (request_id,))
    rule = file.rule(request_id)
    if as_json:
        click.echo(json.dumps(as_understood(rule), ensure_ascii=False, indent=2))
        return
    for line in told(rule, file.attributes(request_id), file.config.hangup_dialect):
        click.echo(line)


@command.command("add", short_help="Add a request.")
@rules_option
@click.option("--url", required=True, help="Where the request goes, http:// or https://.")
@click.option(
    "--extension",
    multiple=True,
    metavar="PATTERN",
    help="Whose events, as 0003*001, 0003*2* or 0003*; several times for several. Default: all.",
)
@click.option(
    "--event",
    multiple=True,
    help="Dial-In, Dial-Out, Answer-In, Answer-Out, Answer (both), Hangup; several times for "
    "several. Default: all.",
)
@click.option("--method", help="GET (default) or POST.")
@click.option("--id", "id", help="Default: derived from extension, event, method and URL.")
@click.option("--status", help="enabled (default) or disabled.")
@click.option("--notes", help="For you.")
@click.option("--format", "format", help="Of a POST: form (default) or json.")
@click.option(
    "--field", "fields", multiple=True, help="One more to send, such as EventID; several times."
)
@click.option(
    "--parameter",
    "parameters",
    multiple=True,
    type=Assignment("=", "NAME=VALUE"),
    metavar="NAME=VALUE",
    help="A parameter of your own, which may be a template; several times.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    type=Assignment(":", "NAME: VALUE"),
    metavar="'NAME: VALUE'",
    help="A header of your own; several times.",
)
@click.option("--omit-empty", is_flag=True, help="Leave out parameters that have no value.")
@click.option("--hangup-status", help="simple or detailed, for this request alone.")
@click.option("--user", help="The user of HTTP basic authentication.")
@click.option("--password-file", help="The file that this user's password is in.")
@click.option("--bearer-file", help="The file that a bearer token is in.")
@click.option("--signing-secret-file", help="The file that signing secrets are in.")
@click.option("--create", is_flag=True, help="Make the rules file if there is none.")
def add(rules: Path | None, create: bool, **options: Any) -> None:
    """
    Add a request behind the others, and print its id.

    Attributes are those of rules.toml, which explains them all.
    """
    file = _open(rules, create=create)
    request_id = file.add(_attributes(options))
    path = f"requests[{file.ids.index(request_id)}]"
    for problem in file.config.warnings:
        if problem.path.startswith(path):
            click.secho(f"{problem.path}: {problem.message}", err=True, fg="yellow")
    _write(file)
    click.echo(request_id)


@command.command("enable", short_help="Have requests made again.")
@rules_option
@ids_argument
def enable(rules: Path | None, ids: tuple[str, ...]) -> None:
    """
    Have requests made that are disabled.
    """
    _edit(rules, ids, RulesFile.enable, "enabled")


@command.command("disable", short_help="Have requests not made, but keep them.")
@rules_option
@ids_argument
def disable(rules: Path | None, ids: tuple[str, ...]) -> None:
    """
    Have requests not made any more; they stay in the file.

    What is owed already is still delivered.
    """
    _edit(rules, ids, RulesFile.disable, "disabled")


@command.command("remove", short_help="Take requests out of the file.")
@rules_option
@ids_argument
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def remove(rules: Path | None, ids: tuple[str, ...], yes: bool) -> None:
    """
    Take requests out of the file, with the comments that stand directly at them.

    On a terminal it asks first.
    """
    file = _open(rules)
    _check_ids(file, ids)
    if not yes and sys.stdin.isatty():
        for line in listed([rule for rule in file.config.rules if rule.id in ids]):
            click.echo(line, err=True)
        click.confirm(f"Remove from {file.path}?", abort=True, err=True)
    _edit(file, ids, RulesFile.remove, "removed")


@command.command("test", short_help="Send a sample notification.")
@rules_option
@id_argument
@click.option(
    "--event",
    type=click.Choice([event.value for event in EventType], case_sensitive=False),
    help="Default: the first in a call that the request asks for.",
)
def test(rules: Path | None, request_id: str, event: str | None) -> None:
    """
    Send one sample notification of a call that never was; show request and answer.

    The receiver knows it by the header X-Ami-Bridge-Test and by a CallID that begins with
    ami-bridge-test-. Also a disabled request can be tested. Where requests may go, credentials
    and timeouts are as always; nothing is tried again.

    Exit code 0 if the answer is 200 to 299, and 1 if it is another one or there is none.
    """
    file = _open(rules)
    _check_ids(file, (request_id,))
    rule = file.rule(request_id)
    _check_credentials(file, request_id)
    wanted = None if event is None else EventType(event)
    if wanted is not None and wanted not in rule.events:
        click.secho(f"{rule.id} does not ask for {wanted.value}.", err=True, fg="yellow")
    sample = asyncio.run(send_sample(rule, file.config, wanted))
    for line in sampled(sample, rule):
        click.echo(line)
    if not sample.delivered:
        raise click.exceptions.Exit(_NOT_TAKEN)


# -- the file ----------------------------------------------------------------------------


def _load(rules: Path | None) -> Config:
    return load_config(find_rules(rules), secret_needed=False, credentials_needed=False)


def _open(rules: Path | None, *, create: bool = False) -> RulesFile:
    path = find_rules(rules)
    if path is None and create:
        path = Path("rules.toml")
    if path is None or not (create or path.exists()):
        where = "there is no rules file" if path is None else f"there is no file {path}"
        raise click.UsageError(f"{where}; `events add --create` makes one")
    return RulesFile.read(path, os.environ, create=create)


def _check_ids(file: RulesFile, ids: tuple[str, ...]) -> None:
    known = file.ids
    for request_id in ids:
        if request_id not in known:
            suggestion = did_you_mean(request_id, known) if known else "there are none"
            raise click.BadParameter(
                f"no request called {request_id!r} in {file.path}; {suggestion}", param_hint="ID"
            )


def _check_credentials(file: RulesFile, request_id: str) -> None:
    """
    Refuse what would be sent without the credentials that it needs; those of others are theirs.
    """
    path = f"requests[{file.ids.index(request_id)}]."
    try:
        load_config(file.path, secret_needed=False, credentials_needed=True)
    except ConfigError as error:
        own = [problem for problem in error.problems if problem.path.startswith(path)]
        if own:
            raise ConfigError(error.source, own) from error


def _attributes(options: dict[str, Any]) -> Attributes:
    """
    Make attributes of the options that were given.
    """
    auth = {
        name: options.pop(name)
        for name in ("user", "password_file", "bearer_file", "signing_secret_file")
    }
    found: dict[str, Any] = {name: value for name, value in options.items() if value}
    for name in ("extension", "event"):
        # One is written as one, as people do.
        if len(options[name]) == 1:
            found[name] = options[name][0]
    for name in ("parameters", "headers"):
        if name in found:
            found[name] = dict(found[name])
    return found | {"auth": {name: value for name, value in auth.items() if value}}


def _edit(
    rules: RulesFile | Path | None,
    ids: tuple[str, ...],
    change: Callable[[RulesFile, str], None],
    done: str,
) -> None:
    """
    Do *change* to all of *ids*, or to none.
    """
    file = rules if isinstance(rules, RulesFile) else _open(rules)
    _check_ids(file, ids)
    for request_id in dict.fromkeys(ids):
        change(file, request_id)
    _write(file)
    for request_id in dict.fromkeys(ids):
        click.echo(f"{request_id} {done}")


def _write(file: RulesFile) -> None:
    if file.is_changed:
        file.write()
        _tell_daemon(file.config)


def _tell_daemon(config: Config) -> None:
    """
    Have a bridge that runs with these rules use them now, and not when it looks at the file.

    If none can be reached, there is nothing to say: it may not run, or not be controllable.
    """
    if config.control is None:
        return
    try:
        asyncio.run(_reload(config))
    except (BridgeUnreachable, TimeoutError):
        return
    except BridgeRefused as refusal:
        click.secho(
            f"The running bridge has not loaded the rules: {refusal}", err=True, fg="yellow"
        )


async def _reload(config: Config) -> None:
    async with asyncio.timeout(_RELOAD_SECONDS), ControlClient(socket_of(config)) as bridge:
        await bridge.post(_RELOAD)
