"""
``ami-bridge check``: the rules as understood, and whether the PBX will play along.
"""

import asyncio
from pathlib import Path

import click

from ami_bridge.adapters.ami_protocol import Batch
from ami_bridge.adapters.ami_session import AmiSession
from ami_bridge.config.report import describe
from ami_bridge.core.ami_events import NAMES_THAT_MATTER, FullyBooted
from ami_bridge.core.ami_headers import Headers
from ami_bridge.core.extensions import PartyKind, WhoIsWho
from ami_bridge.errors import AmiActionRefused, AmiError
from ami_bridge.logs import log_to
from ami_bridge.settings import AsteriskSettings, Config, PbxSettings

from .options import load_rules, rules_option

#: Actions that list endpoints, with the technology they are of and the header of the name.
_ENDPOINT_LISTS = (
    ("PJSIPShowEndpoints", "PJSIP", "ObjectName"),
    ("SIPpeers", "SIP", "ObjectName"),
    ("IAXpeerlist", "IAX2", "ObjectName"),
)
#: What Asterisk says where such a list does not exist, or has no rows.
_HAS_NONE = ("unknown command", "no endpoints")
#: How long FullyBooted may take after the login, in seconds; Asterisk sends it at once.
_BOOTED_SECONDS = 2.0

#: What endpoints may be, in words, and how many of each kind are named.
_PARTIES = {
    PartyKind.EXTENSION: "extensions",
    PartyKind.OUTSIDE: "trunks, the outside world",
    PartyKind.NOBODY: "nobody",
}
_SHOWN = 40

_MARKS = {True: ("yes", "green"), False: ("NO", "red")}


@click.command("check")
@rules_option
@click.option("--connect", is_flag=True, help="Also log in to the PBX and ask it.")
def command(rules: Path | None, connect: bool) -> None:
    """
    Say how the rules are understood, or name every mistake in them (exit code 78).

    With --connect: reach each PBX, log in, and say its version, what the manager user may do and
    lacks (exit code 77), and which of the PBX's endpoints are extensions, trunks or nobody.
    """
    config = load_rules(rules, secret_needed=connect, credentials_needed=connect)
    for line in describe(config):
        click.echo(line)
    if connect:
        log_to(level="error")
        if not asyncio.run(_ask(config)):
            raise click.exceptions.Exit(AmiActionRefused.exit_code)


async def _ask(config: Config) -> bool:
    """
    Ask each PBX; one that cannot be asked is told at once, unless it is the only one.

    Say whether the manager users may do all that the bridge needs.
    """
    contents: list[bool] = []
    failures: list[AmiError] = []
    for pbx in config.pbxs:
        try:
            contents.append(await _ask_one(pbx))
        except AmiError as error:
            failures.append(error)
            if len(config.pbxs) > 1:
                click.secho(f"\nAsterisk {pbx.name}: {error}", fg="red")
    if failures:
        raise failures[0]
    return all(contents)


async def _ask_one(pbx: PbxSettings) -> bool:
    booted = asyncio.Event()

    def hear(batch: Batch) -> None:
        if any(isinstance(ami_event, FullyBooted) for ami_event, *_ in batch):
            booted.set()

    settings = pbx.asterisk
    async with AmiSession(settings, on_events=hear) as session:
        identity = await session.identify()
        click.echo()
        name = f" {pbx.name}" if pbx.name else ""
        click.secho(f"Asterisk{name} at {settings.address}", bold=True)
        click.echo(
            f"  version {identity.asterisk_version or 'not told to this user'}, "
            f"manager interface {identity.ami_version or 'unknown'}"
            + (f", up since {identity.started}" if identity.started else "")
        )
        content = await _privileges(session, settings, booted)
        await _endpoints(session, pbx.correlator.who_is_who)
    return content


async def _privileges(
    session: AmiSession, settings: AsteriskSettings, booted: asyncio.Event
) -> bool:
    """
    Print what the manager user may do; say whether that is enough.
    """
    try:
        async with asyncio.timeout(_BOOTED_SECONDS):
            await booted.wait()
    except TimeoutError:
        pass
    try:
        channels: int | None = len(await session.list_channels())
    except AmiActionRefused:
        channels = None
    reads = await _read_classes(session, settings.username)
    call = None if reads is None else bool({"call", "all"} & reads)
    click.secho(f"Manager user {settings.username}", bold=True)
    _mark("may log in", good=True)
    _mark("read = system (FullyBooted came)", good=booted.is_set())
    if call is None:
        click.echo("  ?    read = call: Asterisk does not tell; make a call while `run` is on")
    else:
        _mark("read = call", good=call)
    _mark("write = reporting (CoreShowChannels)", good=channels is not None)
    if channels is not None:
        click.echo(f"       {channels} channels are up now")
    enough = booted.is_set() and channels is not None and call is not False
    if not enough:
        click.echo("  It lacks something; manager.conf needs, then `manager reload`:")
        for line in _manager_conf(settings):
            click.secho(f"      {line}", fg="yellow")
    return enough


def _mark(text: str, *, good: bool) -> None:
    word, colour = _MARKS[good]
    click.echo(f"  {click.style(f'{word:<4}', fg=colour)} {text}")


def _manager_conf(settings: AsteriskSettings) -> list[str]:
    names = "|".join(sorted({"Shutdown", *(name.decode() for name in NAMES_THAT_MATTER)}))
    return [
        f"[{settings.username}]",
        "read = call,system",
        "write = reporting",
        "writetimeout = 5000",
        "; less traffic, if you like:",
        f"eventfilter = Event: ({names})",
    ]


async def _read_classes(session: AmiSession, username: str) -> set[str] | None:
    """
    Ask which classes the user may read; None if it may not ask either.
    """
    [response, *_] = await session.ask(
        {"Action": "Command", "Command": f"manager show user {username}"}
    )
    for line in response.get("Output", "").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "read perm":
            return set(value.strip().split(","))
    return None


async def _endpoints(session: AmiSession, who_is_who: WhoIsWho) -> None:
    click.secho("Endpoints", bold=True)
    found: dict[PartyKind, list[str]] = {}
    untold: list[str] = []
    for action, technology, header in _ENDPOINT_LISTS:
        response, *rows = await session.ask({"Action": action})
        if _is_kept_back(response):
            untold.append(technology)
        for name in sorted(row[header] for row in rows if header in row):
            # A channel's name has a suffix, which must not be taken for a part of the endpoint.
            party = who_is_who.identify(f"{technology}/{name}-00000000", "")
            told = f"{technology}/{name}"
            if party.kind is PartyKind.EXTENSION and party.extension != name:
                told += f" is {party.extension}"
            found.setdefault(party.kind, []).append(told)
    if untold:
        what = " and ".join(untold)
        click.echo(f"  {what}: not told to this user; with write = system Asterisk would list them")
    elif not found:
        click.echo("  none: Asterisk has no endpoints of PJSIP, SIP or IAX2")
    for kind, heading in _PARTIES.items():
        if names := found.get(kind):
            _show(heading, names)


def _is_kept_back(response: Headers) -> bool:
    """
    Tell whether Asterisk has a list and does not give it, from its *response*.
    """
    said = response.get("Message", "").lower()
    return response.get("Response") != "Success" and not any(word in said for word in _HAS_NONE)


def _show(heading: str, names: list[str]) -> None:
    more = f", and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    click.echo(f"  {heading} ({len(names)})")
    text = ", ".join(names[:_SHOWN]) + more
    click.echo(click.wrap_text(text, width=96, initial_indent="    ", subsequent_indent="    "))
