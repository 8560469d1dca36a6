"""Regions, checkpoints and journals, read with the standard library alone, as docs/format.md says.

This file was written from that page: what it needs and does not find there is missing in the page.
"""

import mmap
import struct
from pathlib import Path

from xxh3 import xxh3

PAGE = 4096
NONE = (1 << 64) - 1
# scalar types of a layout: code, name, struct's letter
SCALARS = {1: ("f32", "f"), 2: ("f64", "d"), 3: ("i8", "b"), 4: ("i16", "h"), 5: ("i32", "i"), 6: ("i64", "q"),
           7: ("u8", "B"), 8: ("u16", "H"), 9: ("u32", "I"), 10: ("u64", "Q"), 11: ("bool", "B"), 12: ("entity", "Q")}


class Wrong(Exception):
    """Bytes that are not what they should be."""


def check(condition, what):
    if not condition:
        raise Wrong(what)


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, letters):
        values = struct.unpack_from("<" + letters, self.data, self.at)
        self.at += struct.calcsize("<" + letters)
        return values if len(values) > 1 else values[0]

    def bytes(self, count):
        check(self.at + count <= len(self.data), "it ends early")
        self.at += count
        return self.data[self.at - count:self.at]

    def name(self):
        return bytes(self.bytes(self.take("B"))).decode("ascii")


class Layout:
    """The encoded layout."""

    def __init__(self, data):
        cursor = Cursor(data)
        magic, version, length, self.bytes_max = cursor.take("4sIQQ")
        check((magic, version, length) == (b"HYLA", 1, len(data)), "no layout")
        components, resources, tables, zero = cursor.take("4H")
        check(zero == 0, "reserved")
        self.name = cursor.name()
        self.components = [self.component(cursor, True) for _ in range(components)]
        self.resources = [self.component(cursor, False) for _ in range(resources)]
        for _ in range(tables):
            rows, count = cursor.take("QH")
            ids = [cursor.take("H") for _ in range(count)]
            check(all(i < components for i in ids), f"a table of {rows} rows")
        check(cursor.at == len(data), "something is behind the layout")

    @staticmethod
    def component(cursor, has_flags):
        name = cursor.name()
        flags = cursor.take("B") if has_flags else 0
        fields = []
        for _ in range(cursor.take("B")):
            field = cursor.name()
            scalar, has_default, length = cursor.take("BBH")
            kind, letter = SCALARS[scalar]
            size = struct.calcsize("<" + letter) * max(length, 1)
            if has_default:
                cursor.bytes(size)
            fields.append({"name": field, "type": kind, "letter": letter, "length": length, "bytes": size})
        return {"name": name, "toggle": bool(flags & 1), "tracked": bool(flags & 2), "fields": fields}

    def resources_bytes(self):
        if not self.resources:
            return 0
        at = -(-len(self.resources) // 8) * 8
        for resource in self.resources:
            at = -(-(at + sum(field["bytes"] for field in resource["fields"])) // 8) * 8
        return at

    def columns(self, kind, ids):
        """Kind, field, component and row bytes (0: a bit) of a table's columns, in order."""
        if kind == 0:
            return [(4, 0, 0, 8), (5, 0, 0, 4)]
        if kind == 1:
            return [(6, 0, 0, 1)]
        columns = [(0, 0, 0, 8)]
        for i in ids:
            columns += [(1, f, i, field["bytes"]) for f, field in enumerate(self.components[i]["fields"])]
        columns += [(2, 0, i, 0) for i in ids if self.components[i]["toggle"]]
        columns += [(3, parity, i, 0) for i in ids if self.components[i]["tracked"] for parity in (0, 1)]
        return columns


def used_bytes(rows, row_bytes):
    return rows * row_bytes if row_bytes else -(-rows // 64) * 8


class State:
    """A generation: tables with the rows in use and the stamps of their columns."""

    def __init__(self, layout, generation, frame, time, tables):
        self.layout, self.generation, self.frame, self.time, self.tables = layout, generation, frame, time, tables

    def check(self):
        """What a reader of a whole state relies on."""
        locations = struct.unpack(f"<{self.tables[0]['rows']}Q", self.tables[0]["data"][0])
        generations = struct.unpack(f"<{self.tables[0]['rows']}I", self.tables[0]["data"][1])
        alive = 0
        for number, table in enumerate(self.tables):
            for (kind, _, _, row_bytes), data, stamps in zip(table["columns"], table["data"], table["stamps"]):
                check(all(s <= self.generation for s in struct.unpack(f"<{len(stamps) // 8}Q", stamps)), "a stamp")
                if row_bytes == 0 and table["rows"] % 64:
                    check(int.from_bytes(data[-8:], "little") >> table["rows"] % 64 == 0, "bits beyond the rows")
                if kind == 0:
                    for row, handle in enumerate(struct.unpack(f"<{table['rows']}Q", data)):
                        slot, generation = handle & 0xFFFFFFFF, handle >> 32
                        check(locations[slot] == number << 32 | row, f"handle of row {row}")
                        check(generations[slot] == generation, f"generation of row {row}")
                        alive += 1
        check(alive == sum(location != NONE for location in locations), "something is alive without a row")

    def values(self, component, field):
        """All elements of a field, of the rows that have the component."""
        found = []
        described = self.layout.components[component]["fields"][field]
        count, width = max(described["length"], 1), described["bytes"]
        for table in self.tables[2:]:
            kinds = [column[:3] for column in table["columns"]]
            if (1, field, component) not in kinds:
                continue
            data = table["data"][kinds.index((1, field, component))]
            bits = None
            if self.layout.components[component]["toggle"]:
                bits = int.from_bytes(table["data"][kinds.index((2, 0, component))], "little")
            for row in range(table["rows"]):
                if bits is None or bits >> row & 1:
                    found += struct.unpack_from(f"<{count}{described['letter']}", data, row * width)
        return found


def region(directory):
    """The published generation of a region: of one that nobody writes, or whose lease the caller needs not take."""
    directory = Path(directory)
    descriptor = (directory / "descriptor").read_bytes()
    head = descriptor[:256]
    magic, mark, version, _, _, incompatible, header, page = struct.unpack_from("<8sIIQQQII", head, 0)
    check(magic == b"HYPOSTYL" and mark == 0x0A0B0C0D and version == 1 and incompatible == 0, "descriptor")
    bytes_max, layout_bytes, layout_hash = struct.unpack_from("<3Q", head, 48)
    check(header == 256 and page == PAGE and len(descriptor) == 256 + layout_bytes, "lengths of the descriptor")
    check(xxh3(head[:248] + descriptor[256:]) == struct.unpack_from("<Q", head, 248)[0], "checksum of the descriptor")
    layout = Layout(descriptor[256:])
    with open(directory / "control", "rb") as file, open(directory / "data", "rb") as data_file:
        control = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        check(control[:8] == b"HYPOCTRL" and control[16:32] == head[72:88], "control")
        data_bytes = struct.unpack_from("<Q", control, 32)[0]
        published = struct.unpack_from("<Q", control, 64)[0]
        generation, slot = published >> 16, published & 0xFFFF
        check(generation > 0 and slot < 512, "nothing is published")
        named, offset, length, checksum = struct.unpack_from("<4Q", control, 8192 + 32 * slot)
        data = mmap.mmap(data_file.fileno(), 0, access=mmap.ACCESS_READ)
        check(named == generation and offset + length <= data_bytes <= min(len(data), bytes_max), "directory's place")
        directory_bytes = data[offset:offset + length]
        check(xxh3(directory_bytes) == checksum, "checksum of the directory")
        state = generation_of(directory_bytes, offset, layout, layout_hash, data, data_bytes)
        check(struct.unpack_from("<Q", control, 64)[0] == published, "it was published anew meanwhile: try again")
    check(state.generation == generation, "another generation")
    return state


def generation_of(data, at, layout, layout_hash, memory, memory_bytes):
    """A generation directory, and what it names."""
    magic, version, count, generation, frame, time, hashed = struct.unpack_from("<8sIIQQdQ", data, 0)
    columns, ids, zero = struct.unpack_from("<IIQ", data, 48)
    check((magic, version, hashed, zero) == (b"HYGENDIR", 1, layout_hash, 0), "directory")
    check(len(data) == -(-(64 + 24 * count + 32 * columns + 2 * ids) // 8) * 8, "its length")
    column_at, id_at = 64 + 24 * count, 64 + 24 * count + 32 * columns
    tables, extents = [], [(0, PAGE), (at, len(data))]
    for number in range(count):
        kind, n_ids, n_columns, rows, capacity, _ = struct.unpack_from("<6I", data, 64 + 24 * number)
        check(kind == min(number, 2), "a table's kind")
        check(rows <= capacity and (kind == 1 or capacity % 64 == 0 and capacity > 0), "a table's rows")
        check(kind != 1 or rows == layout.resources_bytes() and capacity == max(rows, 1), "resources")
        own = struct.unpack_from(f"<{n_ids}H", data, id_at)
        id_at += 2 * n_ids
        wanted = layout.columns(kind, own)
        check(len(wanted) == n_columns and list(own) == sorted(set(own)), "a table's columns")
        table = {"kind": kind, "components": own, "rows": rows, "capacity": capacity, "columns": wanted,
                 "data": [], "stamps": []}
        for code, field, component, row_bytes in wanted:
            found = struct.unpack_from("<BBHIQQQ", data, column_at)
            column_at += 32
            check(found[:4] == (code, field, component, row_bytes), "a column")
            offset, length, moved = found[4:]
            stamps_at = -(-used_bytes(capacity, row_bytes) // 64) * 64
            check(offset % 64 == 0 and offset + length <= memory_bytes and moved <= generation, "an extent")
            check(length >= stamps_at + 8 * -(-capacity // 1024), "an extent is too small")
            extents.append((offset, length))
            table["data"].append(memory[offset:offset + used_bytes(rows, row_bytes)])
            table["stamps"].append(memory[offset + stamps_at:offset + stamps_at + 8 * -(-rows // 1024)])
        tables.append(table)
    extents.sort()
    check(all(a[0] + a[1] <= b[0] for a, b in zip(extents, extents[1:])), "extents overlap")
    return State(layout, generation, frame, time, tables)


def tables_of(data, layout):
    """The list of tables of a checkpoint or a record."""
    cursor, tables = Cursor(data), []
    while cursor.at < len(data):
        kind, rows, capacity, count = cursor.take("4I")
        check(kind == min(len(tables), 2), "a table's kind")
        own = tuple(cursor.take("H") for _ in range(count))
        tables.append({"kind": kind, "components": own, "rows": rows, "capacity": capacity,
                       "columns": layout.columns(kind, own)})
    return tables


def parts_of(tables):
    """Table, column, whether stamps, bytes and bytes of a piece of each part, in order."""
    parts = []
    for t, table in enumerate(tables):
        for c, column in enumerate(table["columns"]):
            row_bytes = column[3]
            rows, stamps = used_bytes(table["rows"], row_bytes), 8 * -(-table["rows"] // 1024)
            if rows:
                parts.append((t, c, False, rows, 1024 * row_bytes if row_bytes else 128))
            if stamps:
                parts.append((t, c, True, stamps, 8192))
    return parts


def decode(encoding, stored, length):
    """A chunk or a block."""
    if encoding == 0:
        check(len(stored) == length, "its length")
        return bytes(stored)
    check(encoding == 3, f"encoding {encoding} is zstd, which the standard library lacks: write with level 0")
    return without_zeros(stored, length)


def without_zeros(stored, length):
    """Encoding 3: bits for words that are not 0, then these words."""
    words, rest = length // 8, length % 8
    groups = -(-words // 64)
    at = 8 * (groups + (rest > 0))
    content = bytearray(length)
    for group in range(groups):
        bits = struct.unpack_from("<Q", stored, 8 * group)[0]
        for word in range(64 * group, min(64 * group + 64, words)):
            if bits >> word % 64 & 1:
                content[8 * word:8 * word + 8] = stored[at:at + 8]
                at += 8
    if rest and stored[8 * groups]:
        content[8 * words:] = stored[at:at + rest]
        at += rest
    check(at == len(stored), "bytes without zeros")
    return bytes(content)


def checkpoint(path):
    """A checkpoint, and its identity."""
    data = Path(path).read_bytes()
    head = data[:256]
    magic, mark, version, _, incompatible, header, chunk_bytes = struct.unpack_from("<8sIIQQII", head, 0)
    check(magic == b"HYPOCKPT" and mark == 0x0A0B0C0D and version == 1 and incompatible == 0, "no checkpoint")
    layout_bytes, _, tables_bytes, notes_bytes, generation, frame, time, _, chunks, raw = struct.unpack_from(
        "<6QdQQQ", head, 40)
    check(header == 256 and chunk_bytes % 64 == 0, "header")
    end = 256 + layout_bytes + tables_bytes + notes_bytes
    checksum = struct.unpack_from("<Q", head, 248)[0]
    check(xxh3(head[:248] + data[256:end]) == checksum, "checksum of the header")
    layout = Layout(data[256:256 + layout_bytes])
    tables = tables_of(data[256 + layout_bytes:256 + layout_bytes + tables_bytes], layout)
    trailer = data[-32:]
    index = data[-32 - 16 * chunks:-32]
    check(struct.unpack("<8sQQQ", trailer) == (b"HYCKPEND", len(data), xxh3(index), checksum), "trailer")
    entries = [struct.unpack_from("<IIQ", index, 16 * i) for i in range(chunks)]
    at, next_chunk, total, contents = end, 0, 0, []
    for _, _, _, length, _ in parts_of(tables):
        content = b""
        for start in range(0, length, chunk_bytes):
            stored, encoding, chunk_sum = entries[next_chunk]
            bytes_ = data[at:at + stored]
            check(xxh3(bytes_) == chunk_sum, f"checksum of chunk {next_chunk}")
            content += decode(encoding, bytes_, min(chunk_bytes, length - start))
            at, next_chunk = at + stored, next_chunk + 1
        contents.append(content)
        total += length
    check(next_chunk == chunks and total == raw and at == len(data) - 32 - 16 * chunks, "chunks")
    return state_of(layout, generation, frame, time, tables, contents), xxh3(trailer)


def state_of(layout, generation, frame, time, tables, contents):
    tables = [dict(table, data=[], stamps=[]) for table in tables]
    parts = {part[:3]: content for part, content in zip(parts_of(tables), contents)}
    for t, table in enumerate(tables):
        for c in range(len(table["columns"])):
            table["data"].append(parts.get((t, c, False), b""))
            table["stamps"].append(parts.get((t, c, True), b""))
    return State(layout, generation, frame, time, tables)


def journal(directory):
    """Every generation of a journal, one after the other, and whether it was finished."""
    directory, before, recording, finished = Path(directory), None, None, False
    for path in sorted(directory.glob("*.journal")):
        data = path.read_bytes()
        magic, mark, version, _, incompatible, header = struct.unpack_from("<8sIIQQI", data, 0)
        check((magic, mark, version, incompatible, header) == (b"HYPOJRNL", 0x0A0B0C0D, 2, 0, 128), "segment")
        _, own, generation, frame, time, previous, chain, identity = struct.unpack_from("<4Qd3Q", data, 40)
        check(xxh3(data[:120]) == struct.unpack_from("<Q", data, 120)[0], "checksum of a segment's header")
        check(path.name == f"{generation:015}.journal", "a segment's name")
        check(recording in (None, own), "another recording")
        check((previous, chain) == (before or (0, 0)), "segments or records before it are missing")
        recording = own
        state, found = checkpoint(path.with_suffix(".checkpoint"))
        check(found == identity and (state.generation, state.frame, state.time) == (generation, frame, time),
              "another checkpoint")
        if before is None or before[0] != generation:
            yield state
        chain, at, follows = struct.unpack_from("<Q", data, 120)[0], 128, None
        while at < len(data):
            if data[at:at + 8] == b"HYJINDEX":
                records, follows, told = struct.unpack_from("<3Q", data, at + 8)
                length, checksum, end = struct.unpack("<QQ8s", data[-24:])
                check(end == b"HYJRNEND" and length == len(data) - at == 32 + 32 * records + 24, "index")
                check(checksum == xxh3(data[at:-16]) and told == chain, "checksums of the index")
                break
            state, length, checksum = record(data, at, state)
            chain = xxh3(struct.pack("<QQ", chain, checksum))
            at += length
            yield state
        before, finished = (state.generation, chain), follows == 0
    check(before is not None, "no journal")
    return finished


def record(data, at, state):
    """Applies a record; the state, the record's bytes and its checksum."""
    magic, length, head, generation, previous, frame, time = struct.unpack_from("<8s5Qd", data, at)
    tables_bytes, runs, blocks, _, checksum = struct.unpack_from("<4IQ", data, at + 56)
    check(magic == b"HYJRECRD" and previous == state.generation, "a record")
    check(xxh3(data[at:at + 72] + data[at + 80:at + head]) == checksum, "checksum of a record's head")
    cursor = Cursor(data[at + 80:at + head])
    told = cursor.bytes(tables_bytes)
    runs = [cursor.take("3I") for _ in range(runs)]
    blocks = [cursor.take("IIQ") for _ in range(blocks)]
    before = {}
    for t, table in enumerate(state.tables):
        for c, column in enumerate(table["columns"]):
            before[(t, *column[:3], False)], before[(t, *column[:3], True)] = table["data"][c], table["stamps"][c]
    tables = tables_of(told, state.layout) if told else state.tables
    block_at, contents = at + head, []
    for number, (t, c, stamps, part_bytes, piece) in enumerate(parts_of(tables)):
        old = before.get((t, *tables[t]["columns"][c][:3], stamps), b"")
        content = bytearray(old[:part_bytes].ljust(part_bytes, b"\0"))
        spans = [(r[1] * piece, min((r[1] + r[2]) * piece, part_bytes)) for r in runs if r[0] == number]
        total = sum(end - start for start, end in spans)
        raw, values = b"", False
        for start in range(0, total, 1 << 20):
            stored, encoding, block_sum = blocks.pop(0)
            bytes_ = data[block_at:block_at + stored]
            check(xxh3(bytes_) == block_sum, "checksum of a block")
            values = bool(encoding & 0x100)
            raw += decode(encoding & 0xFF, bytes_, min(1 << 20, total - start))
            block_at += stored
        taken = 0
        for start, end in spans:
            new = raw[taken:taken + end - start]
            content[start:end] = new if values else bytes(a ^ b for a, b in zip(content[start:end], new))
            taken += end - start
        contents.append(bytes(content))
    check(not blocks and block_at == at + length, "a record's blocks")
    return state_of(state.layout, generation, frame, time, tables, contents), length, checksum

