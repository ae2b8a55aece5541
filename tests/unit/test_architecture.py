"""
The direction of imports, as a test: arrows never turn back.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ami_bridge"

#: What the core may import. No datetime, which has a now(); uuid for uuid5 alone.
PURE = {
    "ast",
    "attrs",
    "base64",
    "binascii",
    "collections",
    "email",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "ipaddress",
    "json",
    "re",
    "string",
    "typing",
    "unicodedata",
    "urllib",
    "uuid",
}

#: Rooms of the package, from the inside out: a room imports itself and what is before it.
ROOMS = (
    *("errors", "core", "settings", "config", "adapters", "sampling", "control"),
    *("pipeline", "former_pbx", "pbx", "running", "daemon", "cli"),
)


def imported(module: Path) -> list[str]:
    """
    Name the modules that *module* imports, relative ones spelled out.
    """
    package = ["ami_bridge", *module.relative_to(PACKAGE).parent.parts]
    names: list[str] = []
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names += [
                f"{stem}.{alias.name}" if node.level and not node.module else stem
                for alias in node.names
            ]
    return names


@pytest.mark.parametrize("module", sorted((PACKAGE / "core").glob("*.py")), ids=lambda p: p.stem)
def test_core_does_no_io(module: Path) -> None:
    """
    The core imports nothing that could open a socket, a file or a clock.
    """
    roots = {name.split(".")[0] for name in imported(module) if not name.startswith("ami_bridge")}
    inner = {name for name in imported(module) if name.startswith("ami_bridge.")}

    assert roots <= PURE
    assert all(name.startswith("ami_bridge.core") for name in inner)


@pytest.mark.parametrize("module", sorted((PACKAGE / "core").glob("*.py")), ids=lambda p: p.stem)
def test_core_rolls_no_dice(module: Path) -> None:
    """
    Of uuid the core uses uuid5 alone, which is a function of its arguments.
    """
    text = module.read_text(encoding="utf-8")

    assert not any(word in text for word in ("uuid1(", "uuid4(", "uuid6(", "uuid7("))


@pytest.mark.parametrize(
    "module", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE))
)
def test_arrows_point_inward(module: Path) -> None:
    """
    A module imports from its own room and from those further in, never from further out.
    """
    room = module.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room not in ROOMS:
        return
    allowed = set(ROOMS[: ROOMS.index(room) + 1])
    inner = [name.split(".") for name in imported(module) if name.startswith("ami_bridge.")]
    rooms = {parts[1] for parts in inner if len(parts) > 1} & set(ROOMS)

    assert rooms <= allowed
