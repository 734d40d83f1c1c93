"""Lines of text of a plain or compressed file, with bounded memory.

Knows compression and encodings; knows no table format. Damage is told with the file's name and, where there
is one, the line's number.
"""

from __future__ import annotations

import codecs
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


def utf8_chunks(path: Path, encoding: str = "utf-8") -> Iterator[bytes]:
    """Unpacked pieces of a file, put into UTF-8 from another encoding.

    Raises SourceError where the file cannot be read or unpacked, or is not text of another `encoding`; UTF-8
    is left to the reader, who can name the line.
    """
    try:
        if encoding == "utf-8":
            yield from _chunks(path)
        else:
            yield from (text.encode() for text in codecs.iterdecode(_chunks(path), encoding))
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        kind = "gzip" if path.suffix == ".gz" else "zstd"
        raise SourceError(f"{path.name}: not a whole {kind} file ({_first(error)}); copy it again") from None
    except OSError as error:
        raise SourceError(f"{path.name}: cannot be read ({error.strerror or _first(error)})") from None
    except UnicodeError as error:
        raise SourceError(f"{path.name}: not {encoding} text ({_first(error)}); see encoding") from None


def raw_lines(path: Path, encoding: str = "utf-8") -> Iterator[bytes]:
    """Lines without their end, as UTF-8. Raises SourceError as `utf8_chunks` does."""
    line_pieces: list[bytes] = []  # pieces of a line longer than a chunk, joined once
    for chunk in utf8_chunks(path, encoding):
        line_end, *later_lines = chunk.split(b"\n")
        line_pieces.append(line_end)
        if later_lines:
            yield b"".join(line_pieces)
            line_pieces = [later_lines.pop()]
            yield from later_lines
    last = b"".join(line_pieces)
    if last:
        yield last


def text_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Numbered lines (from 1) as text, without their end; a byte order mark is skipped.

    Raises SourceError, with the line's number and a likely encoding, for bytes that are not UTF-8.
    """
    for number, line in enumerate(raw_lines(path, encoding), start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield number, line.decode().removesuffix("\r")
        except UnicodeDecodeError:
            raise SourceError(not_utf8(f"{path.name}, line {number}", line)) from None


def not_utf8(where: str, text: bytes) -> str:
    """The sentence for bytes that are not UTF-8, with the encoding to try first."""
    if text.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        likely = "utf-16"
    else:
        # What browsers take unmarked western text for; five bytes have no meaning in it.
        likely = "cp1252" if not set(text) & {0x81, 0x8D, 0x8F, 0x90, 0x9D} else "latin-1"
    return f'{where}: not UTF-8 text; name its encoding in the source, perhaps encoding = "{likely}"'


def _first(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
