"""Encoded images (JPEG, PNG, TIFF, …): their size, their pixels, and what is wrong with them.

Nothing that they say is trusted: a file of some kilobytes can claim an image of gigabytes. So the size is read from the
header first, here, and OpenCV, which allocates what a header says, sees only what is small and of a known format.
Pillow reads the same headers, but takes seven times as long, and its `getexif` decodes a PNG before its size is judged.
"""
import contextlib
import errno
import os
import re
import stat
import struct
import sys
import tempfile
from typing import NamedTuple

import cv2
import numpy as np

from runtime import Failure

LARGEST = 1 << 16  # pixels: a crop of a face is 112×112, and 250×250 before it is aligned
PHOTOGRAPH = 1 << 27  # pixels: 134 million, which takes 400 MB decoded; telephones make up to 108 million
LARGEST_FILE = 1 << 29  # bytes
SUFFIXES = (".jpg", ".jpeg", ".jfif", ".jpe", ".jif", ".png", ".pgm", ".ppm", ".pnm", ".webp", ".bmp", ".tif", ".tiff")


DECODER = "MXNet's decoder"  # the OpenCV that MXNet 1.9.1's wheel carries, which reads the records in training
# Formats that this decoder lacks, found by trial. It reads JPEG (also progressive, arithmetic, CMYK), PNG and BMP of
# every kind, and TIFF whose compression is in `_COMPRESSIONS`. OpenCV here reads the first four of the formats as well.
_LACKING = [(rb"RIFF....WEBP", "WebP"), (rb"P[14]\s", "PBM"), (rb"P[25]\s", "PGM"), (rb"P[36]\s", "PPM"),
            (rb"P7\s", "PAM"), (rb"P[fF]\s", "PFM"), (rb"GIF8[79]a", "GIF"), (rb"....ftyp", "HEIC or AVIF"),
            (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"), (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL"),
            (rb"#\?(RADIANCE|RGBE)", "Radiance HDR"), (rb"II\+\0|MM\0\+", "BigTIFF"), (rb"Y\xa6j\x95", "Sun raster"),
            (rb"8BPS", "Photoshop"), (rb"DDS ", "DDS"), (rb"\0\0\x01\0", "Windows icon")]
_LACKING = [(re.compile(begin, re.DOTALL), name) for begin, name in _LACKING]
_TIFF = rb"II\*\0|MM\0\*"
_COMPRESSIONS = {1, 2, 3, 4, 5, 32771, 32773}  # of TIFF: none, CCITT's four, LZW, PackBits
_COMPRESSION_NAMES = {6: "JPEG", 7: "JPEG", 8: "Deflate", 32946: "Deflate", 34925: "LZMA", 50000: "Zstandard",
                      50001: "WebP"}


class Unusable(Failure):
    """What is wrong with an image, in a few words."""


class Header(NamedTuple):
    """What an encoded image says of itself.

    Attributes
    ----------
    kind : {"jpg", "png", "pnm", "webp", "bmp", "tif"}
    height, width : int
        In pixels, as stored.
    orientation : int
        EXIF's, 1 to 8: how the stored pixels have to be turned; 1 is upright.
    plain : bool
        It has one or three channels of 8 bits, without transparency, as every reader takes them. Judged for JPEG
        and PNG; False for the others.
    highest : int
        The value of white, where that is neither 255 nor 65535 (PGM and PPM); else 0.
    pixels : int
        The byte at which a JPEG's compressed pixels begin; 0 for the other kinds.
    """

    kind: str
    height: int
    width: int
    orientation: int = 1
    plain: bool = False
    highest: int = 0
    pixels: int = 0


def _tags(block):
    """Return tag → value of the first directory of a TIFF block, which is what EXIF is too; whole numbers only."""
    order = {b"II*\0": "<", b"MM\0*": ">"}[block[:4]]
    begin, = struct.unpack_from(order + "I", block, 4)
    count, = struct.unpack_from(order + "H", block, begin)
    found = {}
    for entry in range(begin + 2, begin + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", block, entry)
        if kind in (3, 4) and number == 1:
            found[tag], = struct.unpack_from(order + ("H" if kind == 3 else "I"), block, entry + 8)
    return found


def _orientation(exif):
    """Return the orientation that a block of EXIF tells; 1 where it is damaged or says nothing."""
    try:
        turned = _tags(exif).get(274, 1)
    except (KeyError, struct.error):
        return 1
    return turned if 1 <= turned <= 8 else 1


def _jpeg(image):
    at, turned, frame = 2, 1, None
    while True:
        if image[at] != 0xFF:
            raise ValueError("no marker")
        marker = image[at + 1]
        if marker == 0xFF or marker == 1 or 0xD0 <= marker <= 0xD8:  # filling, and markers without a length
            at += 1 if marker == 0xFF else 2
            continue
        length, = struct.unpack_from(">H", image, at + 2)
        if marker == 0xE1 and image[at + 4:at + 10] == b"Exif\0\0" and turned == 1:
            turned = _orientation(image[at + 10:at + 2 + length])
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = struct.unpack_from(">BHHB", image, at + 4)
        elif marker == 0xDA:
            bits, height, width, channels = frame
            return Header("jpg", height, width, turned, bits == 8 and channels in (1, 3), pixels=at)
        at += 2 + length


def _png(image):
    width, height, bits, colour = struct.unpack_from(">IIBB", image, 16)
    at, turned, plain = 8, 1, bits == 8 and colour in (0, 2)
    for _ in range(1000):
        length, name = struct.unpack_from(">I4s", image, at)
        if name == b"eXIf":
            turned = _orientation(image[at + 8:at + 8 + length])
        plain &= name != b"tRNS"
        if name in (b"IDAT", b"IEND"):
            break
        at += 12 + length
    return Header("png", height, width, turned, plain)


def _webp(image):
    name = image[12:16]
    if name == b"VP8X":
        width, height = (int.from_bytes(image[at:at + 3], "little") + 1 for at in (24, 27))
    elif name == b"VP8L":
        bits, = struct.unpack_from("<I", image, 21)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", image, 26))
    at, turned = 12, 1
    for _ in range(1000):
        if at + 8 > len(image):
            break
        name, length = struct.unpack_from("<4sI", image, at)
        if name == b"EXIF":
            exif = image[at + 8:at + 8 + length]
            turned = _orientation(exif[6:] if exif[:6] == b"Exif\0\0" else exif)
        at += 8 + length + length % 2
    return Header("webp", height, width, turned)


def _bmp(image):
    size, = struct.unpack_from("<I", image, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", image, 18)
    return Header("bmp", abs(height), abs(width))


def _pnm(image):
    fields = re.match(rb"P([1-6])" + rb"(?:\s|#[^\n]*\n)+(\d+)" * (2 if image[1:2] in b"14" else 3), image[:4096])
    _kind, width, height, *highest = map(int, fields.groups())
    return Header("pnm", height, width, highest=highest[0] if highest and highest[0] not in (255, 65535) else 0)


def _tiff(image):
    tags = _tags(image)
    return Header("tif", tags[257], tags[256])  # OpenCV turns these itself


_READERS = [(b"\xff\xd8\xff", _jpeg), (b"\x89PNG\r\n\x1a\n", _png), (b"RIFF....WEBP", _webp), (b"BM", _bmp),
            (b"P[1-6]\\s", _pnm), (_TIFF, _tiff)]


def header(image, whole=True):
    """Read the header of an encoded image.

    Parameters
    ----------
    image : bytes
    whole : bool
        Whether a JPEG has to have its end. A decoder fills the missing rest with grey.

    Returns
    -------
    Header

    Raises
    ------
    Unusable
        It is empty, of no format that is read here, has no size, or is cut short.
    """
    if not image:
        raise Unusable("is empty")
    for begin, read in _READERS:
        if re.match(begin, image, re.DOTALL):
            try:
                found = read(image)
            except (struct.error, LookupError, ValueError, TypeError, AttributeError):
                raise Unusable("has a damaged header") from None
            if found.height < 1 or found.width < 1:
                raise Unusable("says that it has no pixels")
            if whole and found.kind == "jpg" and image.rfind(b"\xff\xd9") < found.pixels:
                raise Unusable("is cut short")
            return found
    name = lacking(image)
    if name:
        raise Unusable(f"is a {name} picture, which is not read here: export it as JPEG")
    raise Unusable("is not a JPEG, PNG, WebP, TIFF, BMP, PGM or PPM picture")


def size(image):
    """Return (height, width) as the header of an encoded image tells; None where it is no image that is known."""
    try:
        return header(image)[1:3]
    except Unusable:
        return None


def lacking(image):
    """Return the name of an image's format where MXNet's decoder lacks that format; None for any other image.

    Training reads a record with that decoder, and so does the original. It fails at an image of such a format.

    Parameters
    ----------
    image : bytes

    Returns
    -------
    str or None
        For example "WebP", "PPM" or "TIFF (Deflate)".
    """
    if image[:2] in (b"\xff\xd8", b"\x89P", b"BM"):  # JPEG, PNG, BMP: nearly all that there are
        return None
    for begin, name in _LACKING:
        if begin.match(image):
            return name
    if not re.match(_TIFF, image):
        return None
    try:
        compression = _tags(image).get(259, 1)
    except (KeyError, struct.error):
        return None  # `header` says that it is damaged
    if compression in _COMPRESSIONS:
        return None
    return f"TIFF ({_COMPRESSION_NAMES.get(compression, f'compression {compression}')})"


def for_record(image):
    """Return an image as a record can hold it: its own bytes, or a PNG where MXNet's decoder lacks its format.

    Raises
    ------
    Unusable
        It has to become a PNG and cannot be decoded here either.
    """
    return encode(decode(image), None) if lacking(image) else image


def size_in_training(image):
    """Return the (height, width) that MXNet's iterator gives an image, from its header; as `header` for the errors.

    The iterator turns a JPEG as EXIF says, and no other kind. It reads a JPEG without an end.
    """
    about = header(image, whole=False)
    turned = about.kind == "jpg" and about.orientation > 4
    return (about.width, about.height) if turned else (about.height, about.width)


def _open(image, largest, how):
    """Return the header of an image and what OpenCV makes of it; raises what `decode` does."""
    about = header(image)
    if about.height * about.width > largest:
        raise Unusable(f"says that it has {about.width}×{about.height} pixels, more than {largest}")
    try:
        pixels = cv2.imdecode(np.frombuffer(image, np.uint8), how)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise Unusable("cannot be decoded: it is damaged, or cut short")
    return about, pixels


def decode_as_mxnet(image, largest=LARGEST):
    """Decode an image as MXNet's iterators and the original do: 8 bits, grey ones as RGB, transparency ignored.

    Parameters, result and errors are those of `decode`. A JPEG is turned as EXIF says, and no other kind. Formats that
    MXNet's decoder lacks are decoded all the same: `lacking` names them.
    """
    how = cv2.IMREAD_COLOR if image[:2] == b"\xff\xd8" else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.cvtColor(_open(image, largest, how)[1], cv2.COLOR_BGR2RGB)


def decode(image, largest=LARGEST):
    """Decode any image to RGB: grey ones, 16 bits, palettes, transparent ones (on white), turned as EXIF says.

    Parameters
    ----------
    image : bytes
    largest : int
        One of more pixels is refused before it takes memory.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        RGB, upright.

    Raises
    ------
    Unusable
        It is empty, of no known format, damaged, cut short, or too large.
    """
    about, pixels = _open(image, largest, cv2.IMREAD_UNCHANGED)
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=255 / (about.highest or 65535))
    if pixels.dtype != np.uint8:
        raise Unusable(f"has pixels of {pixels.dtype}, where 8 or 16 bits are read")
    pixels = _rgb(pixels)
    if about.orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    turn = (np.s_[:], np.s_[:, ::-1], np.s_[::-1, ::-1], np.s_[::-1])[(about.orientation - 1) % 4]
    return np.ascontiguousarray(pixels[turn])


def _rgb(pixels):
    """Return grey, BGR or BGRA pixels as RGB; what is transparent shows white, as paper does."""
    if pixels.ndim == 2:
        return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
    if pixels.shape[2] == 3:
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    colours, alpha = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB), pixels[:, :, 3]
    if not alpha.any():  # some programs leave the fourth channel empty: nobody keeps a picture that cannot be seen
        return colours
    alpha = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    return cv2.add(cv2.multiply(colours, alpha, scale=1 / 255), cv2.bitwise_not(alpha))


def is_windows(name):
    """Whether a name looks like one that Windows writes: with a backslash, or a drive's letter at its begin."""
    return "\\" in name or re.match("[A-Za-z]:/", name) is not None


def read(path, root=None):
    """Read a picture's file, which may be a stranger's.

    Parameters
    ----------
    path : str or os.PathLike
    root : str, os.PathLike or None
        A folder that the file has to be in when links are followed.

    Returns
    -------
    bytes

    Raises
    ------
    Unusable
        It cannot be read, is no file, larger than any picture, or outside of `root`.
    """
    asked = os.fspath(path) if root is None else os.path.relpath(path, root)
    try:
        if root is not None:
            path, root = os.path.realpath(path), os.path.realpath(root)
            if os.path.commonpath([path, root]) != root:
                raise Unusable("leads out of the folder of images")
        about = os.stat(path)  # before it is opened, for opening a pipe would wait
        if not stat.S_ISREG(about.st_mode):
            raise Unusable("is not a file")
        if about.st_size > LARGEST_FILE:
            raise Unusable(f"has more bytes than any picture ({about.st_size})")
        with open(path, "rb") as file:
            return file.read(LARGEST_FILE)
    except OSError as error:
        suspect = ("; the name looks like one from Windows, with \\ or a drive letter: write it with / and relative "
                   "to the folder of images") if error.errno == errno.ENOENT and is_windows(asked) else ""
        raise Unusable(f"cannot be read ({os.strerror(error.errno).lower() if error.errno else error}{suspect})"
                       ) from None
    except ValueError:  # a zero byte in a name
        raise Unusable("has a name that no file can have") from None


def encode(pixels, quality=95):
    """Encode RGB pixels.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (height, width, 3)
    quality : int or None
        Of JPEG, 1 to 100; None for PNG, which loses nothing.

    Returns
    -------
    bytes
    """
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    suffix, options = (".png", []) if quality is None else (".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imencode(suffix, bgr, options)[1].tobytes()


@contextlib.contextmanager
def complaints():
    """Keep from stderr what libjpeg, libpng and OpenCV write there about damaged images.

    Yields
    ------
    callable
        Returns the first line that was written since it was last called; "" for none.
    """
    sys.stderr.flush()
    stderr, seen = os.dup(2), 0
    with tempfile.TemporaryFile() as kept:
        def heard():
            nonlocal seen
            begin, seen = seen, os.fstat(kept.fileno()).st_size
            return (os.pread(kept.fileno(), 200, begin).decode("utf-8", "replace").strip().splitlines() or [""])[0]

        os.dup2(kept.fileno(), 2)
        try:
            yield heard
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
