"""Picture files without what a camera or an editor wrote about them: EXIF, GPS, XMP, IPTC, comments, thumbnails.

Nothing is decoded or encoded again: a file is built anew from the pieces that its pixels need (a list of what may
stay, not of what must go), so a piece that nobody has heard of goes too, and so does whatever follows the picture. Kept
are pixels, colour profile, resolution and, where it turns the picture, one EXIF tag: the orientation. A file without
metadata comes out byte for byte.

Of a damaged file what can be followed is kept, and the rest is cut off: a reader refuses it as it would have before.
"""

from __future__ import annotations

import io
import re
import struct
import zlib

from assets.errors import RejectedError
from edge.runtime.preprocess import QUIET

_MARKERS = re.compile(rb"Exif\0\0|http://ns\.adobe\.com/|<x:xmpmeta|8BIM|GPSLatitude|ftyp(heic|heix|mif1|avif|hevc)")
_OTHER = {b"GIF8": "GIF", b"8BPS": "Photoshop", b"\xff\x0a": "JPEG XL", b"\0\0\0\x0cJXL ": "JPEG XL"}
"""Pictures of other forms, which no reader reads, by their first bytes."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT",
                       b"cICP", b"bKGD", b"pHYs", b"acTL", b"fcTL", b"fdAT"})  # fmt: skip
_PNG_ORIENTED = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC8}
_JPEG_KEPT = _SOF | {0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF}  # with C4 (DHT) and CC (DAC), which lie among C0 to CF
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)

_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_TIFF_KEPT = frozenset({254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284, 290, 291,
                        292, 293, 296, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 332, 334, 336, 338, 339, 340,
                        341, 347, 529, 530, 531, 532, 34675})  # fmt: skip
_TIFF_DATA = {273: 279, 324: 325}
"""Tags of offsets of pixels, with the tag of their lengths."""
MAX_TIFF_VALUES = 4_000_000
"""Numbers of one tag: offsets of one-row strips of the tallest picture."""

_TIFF_ROOM = 48
"""Bytes by which a TIFF may grow, padding of its strips apart: an orientation, even places, a value of two tags."""


def strip_picture(data: bytes) -> bytes:
    """A picture file without metadata; what is no picture at all comes back as it is.

    JPEG, PNG and WebP keep their pieces. TIFF is written anew with its first picture only, which is the one that is
    read. BMP has no metadata, but what follows its pixels is cut off.

    Raises:
        RejectedError: it cannot be read as a picture, but may hold metadata; "reason; remedy".
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _webp(data)
    if data.startswith((b"II*\0", b"MM\0*")):
        return _tiff(data)
    if data.startswith(b"BM") and len(data) >= 54:
        return _bmp(data)
    for start, form in _OTHER.items():
        if data.startswith(start):
            raise RejectedError(f"it is {form}, not PNG, JPEG, WebP, BMP or TIFF; export it as PNG or JPEG")
    if data.startswith((b"II+\0", b"MM\0+")):
        raise RejectedError("it is a TIFF for files above 4 GB; save it as an ordinary TIFF, or as PNG")
    if _MARKERS.search(data):
        raise RejectedError("not a readable picture, but it may hold a picture's metadata; export it as PNG or JPEG")
    return data


def _jpeg(data: bytes) -> bytes:
    parts = [b"\xff\xd8"]
    pieces = 0  # APP0 of JFIF comes first, then our orientation
    at = 2
    turned = _orientation_exif(data)
    while at + 2 <= len(data):
        found = _NEXT_MARKER.search(data, at)
        if found is None:
            break
        at = found.start()
        marker = data[at + 1]
        if marker == 0xD9:
            parts.append(b"\xff\xd9")
            break
        if marker in (0xD8, 0x01):
            at += 2
            continue
        if at + 4 > len(data):
            break
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            at += 2
            continue
        segment = data[at : at + 2 + length]
        at += 2 + length
        kept = (marker in _JPEG_KEPT or _is_kept_app(marker, segment[4:])) and not _MARKERS.search(segment)
        if marker == 0xDA:
            scan_end = _scan_end(data, at)
            segment += data[at:scan_end]
            at = scan_end
        if kept:
            if turned and (pieces or marker != 0xE0):
                parts.append(turned)
                turned = b""
            parts.append(_plain_jfif(segment) if marker == 0xE0 else segment)
            pieces += 1
    return b"".join(parts)


def _is_kept_app(marker: int, body: bytes) -> bool:
    """JFIF's header, a colour profile, and Adobe's note of how colours are stored."""
    return (
        (marker == 0xE0 and body.startswith(b"JFIF\0"))
        or (marker == 0xE2 and body.startswith(b"ICC_PROFILE\0"))
        or (marker == 0xEE and body.startswith(b"Adobe") and len(body) <= 12)
    )


def _plain_jfif(segment: bytes) -> bytes:
    """JFIF's header without its thumbnail."""
    if len(segment) <= 18:
        return segment
    return b"\xff\xe0\0\x10" + segment[4:16] + b"\0\0"


def _scan_end(data: bytes, at: int) -> int:
    """Where the coded pixels end: at the next marker that is no restart, or with the file."""
    found = _NEXT_MARKER.search(data, at)
    return found.start() if found else len(data)


def _png(data: bytes) -> bytes:
    kept: list[tuple[bytes, bytes]] = []
    spoken: list[bytes] = []
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        chunk = data[at : at + 12 + length]
        if length > 2**31 or len(chunk) < 12 + length or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:], "big"):
            if kind[:1].islower():  # a damaged piece that is not needed: leave it out, and go on
                at += 12 + length
                continue
            break
        if kind in _PNG_KEPT:
            kept.append((kind, chunk))
        elif kind in _PNG_ORIENTED:
            spoken.append(chunk)
        at += 12 + length
        if kind == b"IEND":
            break
    parts = [_PNG, *(chunk for _, chunk in kept)]
    if spoken and kept and kept[0][0] == b"IHDR":
        dot = _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        probe = _PNG + dot + b"".join(spoken) + _png_chunk(b"IDAT", zlib.compress(b"\0\0")) + _png_chunk(b"IEND", b"")
        if turned := _orientation(probe):
            parts.insert(2, _png_chunk(b"eXIf", _exif(turned)))
    return b"".join(parts)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _webp(data: bytes) -> bytes:
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    parts: list[bytes] = []
    at, cut = 12, False
    while at + 8 <= end:
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        chunk = data[at : at + 8 + length + (length & 1)]
        if at + 8 + length > end:
            cut = True
            break
        if kind in _WEBP_KEPT:
            parts.append(chunk)
        at += 8 + length + (length & 1)
    turned = _orientation(data)
    for number, chunk in enumerate(parts):
        if chunk.startswith(b"VP8X") and len(chunk) > 8:
            flags = (chunk[8] & ~0x0C) | (0x08 if turned else 0)
            parts[number] = chunk[:8] + bytes([flags]) + chunk[9:]
            if turned:
                exif = _exif(turned)
                parts.append(b"EXIF" + struct.pack("<I", len(exif)) + exif)
            break
    body = b"WEBP" + b"".join(parts)
    size = len(body) + (8 if cut else 0)  # of a file that is cut short the header says more than follows
    return b"RIFF" + struct.pack("<I", size) + body


def _bmp(data: bytes) -> bytes:
    declared = int.from_bytes(data[2:6], "little")
    return data[:declared] if 54 <= declared < len(data) and _bmp_fits(data, declared) else data


def _bmp_fits(data: bytes, declared: int) -> bool:
    """Whether the pixels end within the size that the header declares; many writers leave that field wrong."""
    offset, width, height = (
        int.from_bytes(data[10:14], "little"),
        *struct.unpack("<ii", data[18:26]),
    )
    row = (abs(width) * int.from_bytes(data[28:30], "little") + 31) // 32 * 4
    compressed = int.from_bytes(data[30:34], "little") in (1, 2)
    return not compressed and offset + row * abs(height) <= declared


def _tiff(data: bytes) -> bytes:
    order = "<" if data.startswith(b"II") else ">"
    try:
        entries = _tiff_entries(data, order)
        if 274 not in entries and (turned := _orientation(data)):  # XMP may say it instead
            entries[274] = (3, 1, struct.pack(f"{order}H", turned))
        return _tiff_file(data, order, entries)
    except (struct.error, IndexError, ValueError) as error:
        raise RejectedError("it is a damaged TIFF, which may hold metadata; export it again as PNG or TIFF") from error


def _tiff_entries(data: bytes, order: str) -> dict[int, tuple[int, int, bytes]]:
    """Tag to type, count and value of the first picture's kept tags. Raises ValueError and struct.error."""
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    entries: dict[int, tuple[int, int, bytes]] = {}
    for number in range(count):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, start + 2 + 12 * number)
        if tag not in _TIFF_KEPT or tag in entries:
            continue
        if kind not in _TIFF_SIZES or length > (MAX_TIFF_VALUES if tag != 34675 else len(data)):
            raise ValueError(tag)
        size = _TIFF_SIZES[kind] * length
        place = start + 10 + 12 * number
        if size > 4:
            (place,) = struct.unpack_from(f"{order}I", data, place)
        value = data[place : place + size]
        if len(value) < size:
            raise ValueError(tag)
        entries[tag] = (kind, length, value)
    return entries


def _tiff_file(data: bytes, order: str, entries: dict[int, tuple[int, int, bytes]]) -> bytes:
    pixels: list[bytes] = []
    position, total, padding = 8, 0, 0
    for offsets_tag, lengths_tag in _TIFF_DATA.items():
        if offsets_tag not in entries:
            continue
        offsets, lengths = (_tiff_numbers(entries.get(tag), order) for tag in (offsets_tag, lengths_tag))
        if len(offsets) != len(lengths):
            raise ValueError(offsets_tag)
        moved = []
        for offset, length in zip(offsets, lengths, strict=True):
            piece = data[offset : offset + length]
            total += len(piece)
            if total > len(data) or len(piece) < length:
                raise ValueError("strips overlap, or are cut short")
            moved.append(position)
            pixels.append(piece + b"\0" * (len(piece) & 1))
            padding += len(piece) & 1
            position += len(pixels[-1])
        entries[offsets_tag] = (4, len(moved), struct.pack(f"{order}{len(moved)}I", *moved))
    table_at = position
    values_at = table_at + 2 + 12 * len(entries) + 4
    table, values = struct.pack(f"{order}H", len(entries)), b""
    extra: list[bytes] = []
    for tag, (kind, count, value) in sorted(entries.items()):
        table += struct.pack(f"{order}HHI", tag, kind, count)
        if len(value) <= 4:
            table += value.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", values_at)
            extra.append(value + b"\0" * (len(value) & 1))
            values_at += len(extra[-1])
    values = b"".join(extra)
    if table_at - padding + len(table) + 4 + len(values) > len(data) + _TIFF_ROOM:
        raise ValueError("its values overlap")  # each becomes a copy of its own
    head = data[:4] + struct.pack(f"{order}I", table_at)
    return head + b"".join(pixels) + table + b"\0\0\0\0" + values


def _tiff_numbers(entry: tuple[int, int, bytes] | None, order: str) -> tuple[int, ...]:
    if entry is None or entry[0] not in (3, 4):
        raise ValueError("no offsets")
    kind, count, value = entry
    return struct.unpack(f"{order}{count}{'H' if kind == 3 else 'I'}", value)


def _orientation(data: bytes) -> int:
    """2 to 8 where a picture is to be turned or mirrored, as Pillow (the device's rule) finds it; else 0."""
    from PIL import Image

    try:
        with QUIET, Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP", "TIFF")) as picture:
            found = picture.getexif().get(0x0112)
    except Exception:  # Pillow's parsers raise many kinds; a damaged note turns nothing
        return 0
    return found if isinstance(found, int) and 2 <= found <= 8 else 0


def _exif(orientation: int) -> bytes:
    """A TIFF header and one tag: all of EXIF that a picture's pixels need."""
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def _orientation_exif(jpeg: bytes) -> bytes:
    """An EXIF segment of a JPEG with its orientation only; empty where it is not turned."""
    turned = _orientation(jpeg)
    if not turned:
        return b""
    body = b"Exif\0\0" + _exif(turned)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
