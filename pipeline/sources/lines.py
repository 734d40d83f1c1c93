"""Lines of text of a plain or compressed file, with bounded memory.

Knows compression and UTF-8; knows no table format. Damage is told with the file's name and, where there is
one, the line's number.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import zstandard

from hormesis.pipeline.sources.record import SourceError

_CHUNK = 1 << 20


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        if path.suffix == ".zst":
            yield from _unzstd(iter(lambda: stream.read(_CHUNK), b""), path)
        elif path.suffix == ".gz":
            with gzip.open(stream) as unpacked:
                yield from iter(lambda: unpacked.read(_CHUNK), b"")
        else:
            yield from iter(lambda: stream.read(_CHUNK), b"")


def _unzstd(packed: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Unpacked chunks of all frames. The library's reader takes a cut file for a whole one; this does not."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 31)
    frame_reader = None
    for packed_chunk in packed:
        while packed_chunk:
            frame_reader = frame_reader or decompressor.decompressobj()
            yield frame_reader.decompress(packed_chunk)
            packed_chunk = frame_reader.unused_data if frame_reader.eof else b""
            frame_reader = None if frame_reader.eof else frame_reader
    if frame_reader is not None:
        raise SourceError(f"{path.name}: the zstd file ends too early; copy it again")


def raw_lines(path: Path) -> Iterator[bytes]:
    """Lines without their end, as bytes. Raises SourceError where the file cannot be unpacked or read."""
    line_pieces: list[bytes] = []  # pieces of a line longer than a chunk, joined once
    try:
        for chunk in _chunks(path):
            line_end, *later_lines = chunk.split(b"\n")
            line_pieces.append(line_end)
            if later_lines:
                yield b"".join(line_pieces)
                line_pieces = [later_lines.pop()]
                yield from later_lines
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        kind = "gzip" if path.suffix == ".gz" else "zstd"
        raise SourceError(f"{path.name}: not a whole {kind} file ({_first(error)}); copy it again") from None
    except OSError as error:
        raise SourceError(f"{path.name}: cannot be read ({error.strerror or _first(error)})") from None
    last = b"".join(line_pieces)
    if last:
        yield last


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines (from 1) as text, without their end; a byte order mark is skipped.

    Raises SourceError, with the line's number, for bytes that are not UTF-8.
    """
    for number, line in enumerate(raw_lines(path), start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            yield number, line.decode().removesuffix("\r")
        except UnicodeDecodeError:
            raise SourceError(f"{path.name}, line {number}: not UTF-8 text; convert the file") from None


def _first(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
