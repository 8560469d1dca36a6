"""Types of a layout, for editors and type checkers: what :meth:`Layout.stubs` gives.

``python -m hypostyle.stubs demo > demo_types.pyi`` writes those of a region or a file.
"""

from __future__ import annotations

import keyword
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .layout import ComponentLayout, FieldLayout, Layout

_HEAD = '''"""Types of the layout `{name}`, made by `hypostyle.Layout.stubs`: make it anew when the layout changes."""

from typing import Any, Literal, overload

import hypostyle
from hypostyle.values import Array
'''


def _class_name(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))


def _comment(field: FieldLayout) -> str:
    return f"  # {field.type}"


def _named(fields: tuple[FieldLayout, ...]) -> list[FieldLayout]:
    """Those that can be attributes."""
    return [each for each in fields if each.name.isidentifier() and not keyword.iskeyword(each.name)]


def _fields(fields: tuple[FieldLayout, ...], kind: str) -> list[str]:
    return [f"    @property\n    def {each.name}(self) -> {kind}: ...{_comment(each)}" for each in _named(fields)]


def _class(name: str, base: str, lines: list[str]) -> str:
    # the bases take any name, as they know no layout: these take their own
    lines = ["    __getattr__: None  # type: ignore", *lines]
    return f"class {name}({base}):\n" + "\n".join(lines)


def _lookup(entries: list[tuple[str, str]], base: str) -> list[str]:
    """Overloads of ``__getitem__`` by literal names; what is not among them has the base's type."""
    lines = [
        f'    @overload\n    def __getitem__(self, name: Literal["{key}"]) -> {kind}: ...' for key, kind in entries
    ]
    lines.append(f"    @overload\n    def __getitem__(self, name: str) -> {base}: ...")
    return lines


def stubs_of(layout: Layout) -> str:
    """The text of a module of stubs."""
    shown = [each for each in layout if each.storage != "scratch_list"]
    parts = [_HEAD.format(name=layout.name)]
    snapshot: list[tuple[str, str]] = []
    rows: list[str] = []
    for each in shown:
        name = _class_name(each.name)
        if each.published_fields or not each.fields:
            parts.append(_class(name, "hypostyle.Component", _fields(each.published_fields, "Array")))
            snapshot.append((each.name, name))
            snapshot += [(f"{each.name}.{field.name}", "Array") for field in each.published_fields]
        if each.fields and each.storage in ("table", "toggle", "scratch"):
            parts.append(_class(f"{name}Rows", "hypostyle.JobComponent", _settable(each)))
            if each.name.isidentifier() and not keyword.iskeyword(each.name):
                rows.append(f"    @property\n    def {each.name}(self) -> {name}Rows: ...")
    for resource in layout.resources.values():
        parts.append(_class(_class_name(resource.name) + "Resource", "hypostyle.Resource", _fields(resource.fields, "Any")))
    parts.append("class Snapshot(hypostyle.Snapshot):\n" + "\n".join(_lookup(snapshot, "Any")))
    parts.append(_class("Rows", "hypostyle.Job", rows))
    return "\n\n".join(parts) + "\n"


def _settable(component: ComponentLayout) -> list[str]:
    lines = []
    for each, line in zip(_named(component.fields), _fields(component.fields, "Array")):
        lines.append(line)
        lines.append(f"    @{each.name}.setter\n    def {each.name}(self, values: Any) -> None: ...")
    return lines


def main() -> None:
    """Prints the types of the layout of a region or a file."""
    from .region import open_region

    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("usage: python -m hypostyle.stubs REGION_OR_FILE > NAME.pyi")
    with open_region(sys.argv[1]) as region:
        print(region.layout.stubs(), end="")


if __name__ == "__main__":
    main()
