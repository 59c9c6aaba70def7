"""Limits that keep a small file from filling memory or disk; each is a setting of `input_limits`."""

from winpredict.config import InputLimits
from winpredict.errors import InputFileError
from winpredict.locale.text import text

_MB = 2**20
#: What does not fit is kept one by one up to this number of lines or records; beyond, most of them must fit.
MAX_MISFITS = 100_000
#: Cells that a file may have for each of its bytes, beyond `input_limits.cells`; text has at most one.
_CELLS_PER_BYTE = 10


#: Memory that values may take for each byte that a file may unpack to.
_MEMORY_PER_BYTE = 3


class Budget:
    """Bytes and cells that one file, with everything packed into it, may unpack to.

    Parameters
    ----------
    limits : InputLimits
    packed_bytes : int
        Size of the file on disk.
    where : str
        The file, for people.

    Attributes
    ----------
    most : int
        Bytes that it may unpack to.
    cells : int
        Cells that a table of it may have.

    Examples
    --------
    >>> budget = Budget(InputLimits(unpacked_free_mb=1), 1000, "bomb.gz")
    >>> budget.take(2**20)
    >>> budget.take(1)
    Traceback (most recent call last):
    winpredict.errors.InputFileError: bomb.gz unpacks to more than 1 MB, which is more than 50 times its size \
(input_limits.unpacked_ratio); unpack it yourself and import the folder, or raise the limit
    """

    def __init__(self, limits: InputLimits, packed_bytes: int, where: str) -> None:
        self.limits = limits
        self.where = where
        self.cells = max(limits.cells, _CELLS_PER_BYTE * packed_bytes)
        by_ratio = max(limits.unpacked_free_mb * _MB, limits.unpacked_ratio * packed_bytes)
        absolute = limits.unpacked_mb * _MB
        self.most = int(min(by_ratio, absolute))
        self._reason = (
            text("the limit input_limits.unpacked_mb")
            if absolute <= by_ratio
            else text(
                "more than {ratio} times its size (input_limits.unpacked_ratio)", ratio=f"{limits.unpacked_ratio:g}"
            )
        )
        self._used = 0

    def take(self, count: int) -> None:
        """Count unpacked bytes.

        Raises
        ------
        InputFileError
            When there are too many.
        """
        self._used += count
        if self._used > self.most:
            raise InputFileError(
                text(
                    "{where} unpacks to more than {most} MB, which is {reason}; unpack it yourself and import "
                    "the folder, or raise the limit",
                    where=self.where,
                    most=f"{self.most / _MB:,.0f}",
                    reason=self._reason,
                )
            )

    def check_memory(self, count: int, where: str) -> None:
        """Refuse unpacked data whose values would take far more memory than their text.

        Raises
        ------
        InputFileError
        """
        if self._used and count > _MEMORY_PER_BYTE * self.most:
            raise InputFileError(
                text(
                    "{where} unpacks to values of about {count} MB, more than {memory_per_byte} times the "
                    "{most} MB that a file of its size may unpack to (input_limits.unpacked_ratio and "
                    "unpacked_free_mb); unpack it yourself and import the folder, or raise the limits",
                    where=where,
                    count=f"{count / _MB:,.0f}",
                    memory_per_byte=_MEMORY_PER_BYTE,
                    most=f"{self.most / _MB:,.0f}",
                )
            )

    def check_text(self, count: int, where: str) -> None:
        """Refuse texts that are stored once and repeated in many cells until they fill memory.

        Raises
        ------
        InputFileError
        """
        if count > self.most:
            raise InputFileError(
                text(
                    "{where} holds {count} MB of text, more than the {most} MB that a file of its size may "
                    "unpack to (input_limits.unpacked_ratio and unpacked_free_mb); leave out columns, or raise "
                    "the limits",
                    where=where,
                    count=f"{count / _MB:,.0f}",
                    most=f"{self.most / _MB:,.0f}",
                )
            )

    def check_cells(self, rows: int, columns: int, where: str) -> None:
        """Refuse a table whose cells would fill memory.

        Raises
        ------
        InputFileError
        """
        if rows * columns > self.cells:
            raise InputFileError(
                text(
                    "{where} has {rows:count} rows of {columns:count} columns, more than {cells:count} cells "
                    "(input_limits.cells) for a file of its size; leave out columns, or raise the limit",
                    where=where,
                    rows=rows,
                    columns=columns,
                    cells=self.cells,
                )
            )


def check_columns(count: int, limits: InputLimits, where: str) -> None:
    """Refuse a table with too many columns.

    Raises
    ------
    InputFileError
    """
    if count > limits.columns:
        raise InputFileError(
            text(
                "{where} has {count:count} columns, more than {columns:count} (input_limits.columns); export "
                "fewer columns, or raise the limit",
                where=where,
                count=count,
                columns=limits.columns,
            )
        )


def check_cell(length: int, limits: InputLimits, where: str) -> None:
    """Refuse a table with a cell that is too long; `where` names it.

    Raises
    ------
    InputFileError
    """
    if length > limits.cell_chars:
        raise InputFileError(
            text(
                "{where} holds {length:count} characters in one cell, more than {cell_chars:count} "
                "(input_limits.cell_chars); shorten it or leave its column out, or raise the limit",
                where=where,
                length=length,
                cell_chars=limits.cell_chars,
            )
        )
