"""Pieces of bytes in a file that may end anywhere, or be spoilt anywhere.

A piece is `MARK`, its length, the CRC-32 of that, its own CRC-32, then itself. What it says is not
known here.

Guarantees, each held by a test: what comes back is what was framed, in its order; a piece of which
any byte was changed does not come back, is told of, and takes no other with it; only an unfinished
piece at the very end is passed over in silence.
"""

import struct
import zlib
from collections.abc import Iterator

MARK = b"\xc1mlj"  # MessagePack never begins with this byte
_HEAD = struct.Struct(">4sIII")
_LENGTH = struct.Struct(">I")


def framed(piece: bytes) -> bytes:
    """A piece as it stands in the file."""
    length = len(piece)
    return _HEAD.pack(MARK, length, zlib.crc32(_LENGTH.pack(length)), zlib.crc32(piece)) + piece


def pieces(content: bytes) -> Iterator[bytes | None]:
    """The pieces of a file in their order; None for each stretch that is damaged."""
    place = 0
    while place < len(content):
        found = _piece_at(content, place)
        if found is not None:
            yield found
            place += _HEAD.size + len(found)
            continue
        following = _next_whole(content, place + 1)
        if following is None:
            if not _is_begun(content[place:]):
                yield None
            return
        yield None
        place = following


def _piece_at(content: bytes, place: int) -> bytes | None:
    """The whole piece that begins here, if one does."""
    length = _length_at(content, place)
    if length is None:
        return None
    begin = place + _HEAD.size
    piece = content[begin : begin + length]
    check = _HEAD.unpack_from(content, place)[3]
    return piece if len(piece) == length and zlib.crc32(piece) == check else None


def _length_at(content: bytes, place: int) -> int | None:
    if len(content) < place + _HEAD.size:
        return None
    mark, length, check, _ = _HEAD.unpack_from(content, place)
    return length if mark == MARK and zlib.crc32(_LENGTH.pack(length)) == check else None


def _next_whole(content: bytes, place: int) -> int | None:
    while (place := content.find(MARK, place)) >= 0:
        if _piece_at(content, place) is not None:
            return place
        place += 1
    return None


def _is_begun(rest: bytes) -> bool:
    """Whether more bytes could make a piece of what is left."""
    if len(rest) < _HEAD.size:
        return MARK.startswith(rest[: len(MARK)])
    length = _length_at(rest, 0)
    return length is not None and len(rest) < _HEAD.size + length
