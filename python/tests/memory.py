"""Looking at this process's memory from outside of numpy."""

from __future__ import annotations

from typing import Any


def mapping_of(array: Any) -> str:
    """The line of /proc/self/maps that holds all of an array's bytes."""
    begin = array.__array_interface__["data"][0]
    end = begin + array.nbytes
    with open("/proc/self/maps", encoding="utf-8") as maps:
        for line in maps:
            low, high = (int(part, 16) for part in line.split()[0].split("-"))
            if low <= begin and end <= high:
                return line
    raise AssertionError(f"no mapping holds {begin:#x} to {end:#x}")


def private_bytes() -> int:
    """Bytes of memory that are this process's own, not shared with a file."""
    with open("/proc/self/status", encoding="utf-8") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no RssAnon in /proc/self/status")
