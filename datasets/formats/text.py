r"""Text files that people and their tools write: lists, pair lists, landmarks, indices, `property`, names.

Such a file is UTF-8, with or without a byte-order mark, or UTF-16 or UTF-32 with one, as Windows writes them. Its lines
end in \n, \r\n or \r. All of these are read. For example, `lines("faces.lst")` yields `(1, "0\t5\ta.jpg")`. A file that
is no text is refused in one line, which says what to do.
"""
import codecs
import io

from runtime import Failure, shown

LONGEST_LINE = 1 << 16  # characters
HEAD = 1 << 10  # bytes that tell the encoding
MARKS = ((b"\xff\xfe\0\0", "utf-32"), (b"\0\0\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
UTF8 = "utf-8-sig"  # takes a mark where there is one
SAVE = "save it as UTF-8"


def _reads_as(head, encoding):
    """Whether the first bytes of a file without a mark are mostly plain characters in a wide encoding."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return len(head) >= 4 and 4 * sum(map(str.isascii, text)) >= len(text) > 0 and all(
        one.isprintable() or one in "\t\r\n" for one in text)


def _encoding(head, path):
    """Return the encoding of a text file, given its first bytes; Failure where it has no mark and needs one."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    wide = next((encoding for encoding in WIDE if b"\0" in head and _reads_as(head, encoding)), None)
    if wide:
        raise Failure(f"{shown(path)} looks like {wide[:6].upper()} without a byte-order mark: {SAVE}")
    return UTF8


def _open(path, missing):
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise Failure(f"{shown(path)} is missing{missing and ': '}{missing}") from None


def _undecodable(path, encoding):
    return Failure(f"{shown(path)} begins as {encoding.upper()} and does not go on so, or is cut short: {SAVE}")


def lines(path, strict=False, missing=""):
    """Read a text file line by line; in memory is one line.

    Parameters
    ----------
    path : str or os.PathLike
    strict : bool
        Whether bytes that are no UTF-8 are refused. Otherwise they are kept as Python keeps them in file names
        (`surrogateescape`), so that they name the same file.
    missing : str
        What to do where the file is missing.

    Yields
    ------
    number : int
        From 1. Lines that are empty or blank are counted and not yielded.
    line : str
        Without its end and without a byte-order mark.

    Raises
    ------
    Failure
        The file is missing or no text, or a line is longer than 65,535 characters. The message names the line.
    """
    with _open(path, missing) as file:
        encoding = _encoding(file.peek(HEAD)[:HEAD], path)
        text = io.TextIOWrapper(file, encoding, "surrogateescape" if encoding == UTF8 else "strict")
        for number in range(1, 1 << 62):
            try:
                line = text.readline(LONGEST_LINE)
            except UnicodeDecodeError:
                raise _undecodable(path, encoding) from None
            if not line:
                return
            where = f"{shown(path)}: line {number}"
            if len(line) == LONGEST_LINE:
                raise Failure(f"{where} does not end within {LONGEST_LINE} characters: this is no list, "
                              "but something else")
            if "\0" in line:
                raise Failure(f"{where} has a zero byte: this is no text file")
            if strict and not _is_utf8(line):
                raise Failure(f"{where} is not UTF-8: save the file as a UTF-8 text file")
            line = line.rstrip("\n").lstrip("\ufeff")  # programs that join files leave marks between them
            if line.strip():
                yield number, line


def _is_utf8(line):
    """Whether a line has no byte that was kept by `surrogateescape`."""
    if line.isascii():
        return True
    try:
        line.encode()
    except UnicodeEncodeError:
        return False
    return True


def content(path, missing=""):
    r"""Read a text file whole, as bytes in UTF-8.

    Parameters
    ----------
    path : str or os.PathLike
    missing : str
        What to do where the file is missing.

    Returns
    -------
    bytes
        Without a byte-order mark. Lines end in \n or \r\n.

    Raises
    ------
    Failure
        The file is missing, or in an encoding that it does not tell.
    """
    with _open(path, missing) as file:
        whole = file.read()
    encoding = _encoding(whole[:HEAD], path)
    if encoding != UTF8:
        try:
            whole = whole.decode(encoding).encode()
        except UnicodeError:
            raise _undecodable(path, encoding) from None
    if whole.startswith(codecs.BOM_UTF8):
        whole = whole[len(codecs.BOM_UTF8):]
    return whole if b"\n" in whole else whole.replace(b"\r", b"\n")
