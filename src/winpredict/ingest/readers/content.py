"""The bytes of one file, wherever they are: on disk, unpacked into memory, or unpacked into a temporary file."""

import bz2
import gzip
import hashlib
import lzma
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from winpredict.errors import InputFileError
from winpredict.ingest.readers.limits import Budget
from winpredict.locale.text import text

#: Errors of damaged packed data.
UNPACKING_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_HEAD_BYTES = 2**20
_STEP = 2**20
#: Unpacked data up to this size stay in memory.
_IN_MEMORY_BYTES = 32 * 2**20


class Content:
    """Bytes that can be read at any place.

    Parameters
    ----------
    file : binary file
        Seekable.
    size : int
        Bytes in it.

    Examples
    --------
    >>> import io
    >>> content = Content(io.BytesIO(b"deal_id,stage"), 13)
    >>> content.read(8, 5), content.size
    (b'stage', 13)
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self._head: bytes | None = None

    @property
    def head(self) -> bytes:
        """The first megabyte."""
        if self._head is None:
            self._head = self.read(0, _HEAD_BYTES)
        return self._head

    def read(self, start: int, count: int) -> bytes:
        """At most `count` bytes from a place on."""
        self.file.seek(start)
        return self.file.read(count)

    def all(self) -> bytes:
        """Every byte."""
        return self.head if self.size <= len(self.head) else self.read(0, self.size)

    def opened(self) -> BinaryIO:
        """The file, at its start."""
        self.file.seek(0)
        return self.file

    def sha256(self) -> str:
        """The hash of all bytes, as hexadecimal digits."""
        digest = hashlib.sha256()
        for start in range(0, self.size, _STEP):
            digest.update(self.read(start, _STEP))
        return digest.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def temporary() -> BinaryIO:
    """A file in memory, on disk once it is large; it is gone when closed."""
    return cast(BinaryIO, tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))


def content_of(path: Path) -> Content:
    """The bytes of a file on disk."""
    return Content(path.open("rb"), path.stat().st_size)


def unpacked(content: Content, suffix: str, budget: Budget, where: str) -> Content:
    """What a gzip or bzip2 file holds.

    Raises
    ------
    InputFileError
        When it is damaged or holds more than the limits allow.
    """
    file = content.opened()
    stream = cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb") if suffix == ".gz" else bz2.BZ2File(file))
    try:
        return copied(stream, budget)
    except UNPACKING_ERRORS as error:
        kind = {".gz": "gzip", ".bz2": "bzip2"}[suffix]
        raise InputFileError(
            text(
                "{where} cannot be read: its {kind} data are damaged ({error}); export or copy it again",
                where=where,
                kind=kind,
                error=error,
            )
        ) from None


def copied(stream: BinaryIO, budget: Budget) -> Content:
    """All bytes of a stream, counted while they come."""
    out = temporary()
    size = 0
    try:
        while step := stream.read(_STEP):
            size += len(step)
            budget.take(len(step))
            out.write(step)
    except BaseException:
        out.close()
        raise
    return Content(out, size)
