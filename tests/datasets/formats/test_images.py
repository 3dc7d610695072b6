"""Pictures of every kind, against Pillow and against formulas; and pictures that are none."""
import io
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from datasets.formats import images
from datasets.formats.images import Unusable
from runtime import mx

PIXELS = cv2.resize(np.random.RandomState(0).randint(0, 256, (4, 6, 3)).astype(np.uint8), (60, 40),
                    interpolation=cv2.INTER_CUBIC)


def saved(form, mode="RGB", **options):
    """Return PIXELS encoded by Pillow."""
    file = io.BytesIO()
    Image.fromarray(PIXELS).convert(mode).save(file, form, **options)
    return file.getvalue()


def small():
    """Return a small file of each kind."""
    pixels = Image.fromarray(PIXELS[:7, :9])
    for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"):
        file = io.BytesIO()
        pixels.save(file, form)
        yield form, file.getvalue()


FILES = dict(small())


@pytest.mark.parametrize(("form", "mode", "options"), [
    ("JPEG", "RGB", {}), ("JPEG", "L", {}), ("JPEG", "CMYK", {}), ("JPEG", "RGB", {"progressive": True}),
    ("PNG", "RGB", {}), ("PNG", "L", {}), ("PNG", "1", {}), ("PNG", "P", {}), ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGB", {}), ("BMP", "RGB", {}), ("BMP", "L", {}), ("BMP", "P", {}), ("TIFF", "RGB", {}), ("TIFF", "L", {}),
    ("TIFF", "RGB", {"compression": "tiff_lzw"}), ("PPM", "RGB", {}), ("PPM", "L", {}), ("PPM", "1", {})])
def test_as_pillow_reads_it(form, mode, options):
    image = saved(form, mode, **options)
    expected = np.asarray(Image.open(io.BytesIO(image)).convert("RGB")).astype(int)
    pixels = images.decode(image)
    assert (pixels.shape, pixels.dtype, images.size(image)) == ((40, 60, 3), np.uint8, (40, 60))
    assert np.abs(pixels - expected).max() <= (0 if form in ("PNG", "BMP", "TIFF", "PPM") else 8)


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_turned_as_exif_says(form, turned):
    exif = Image.Exif()
    exif[0x112] = turned
    image = saved(form, exif=exif.tobytes())
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(image))).convert("RGB")).astype(int)
    pixels = images.decode(image)
    assert pixels.shape == expected.shape == ((40, 60, 3) if turned < 5 else (60, 40, 3))
    assert np.abs(pixels - expected).max() <= 8


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm", ".ppm"])
def test_sixteen_bits(suffix):
    deep = np.random.RandomState(1).randint(0, 65536, (9, 11, 3)).astype(np.uint16)
    deep = deep[:, :, 0] if suffix == ".pgm" else deep
    expected = np.round(deep / 257.0)
    expected = expected[..., None].repeat(3, 2) if expected.ndim == 2 else expected[:, :, ::-1]
    np.testing.assert_array_equal(images.decode(cv2.imencode(suffix, deep)[1].tobytes()), expected)


def test_twelve_bits_in_a_pgm():
    deep = np.arange(0, 4096, 41, dtype=np.uint16).reshape(10, 10)
    image = b"P5 # from a camera\n10 10\n4095\n" + deep.astype(">u2").tobytes()
    np.testing.assert_array_equal(images.decode(image)[:, :, 1], np.round(deep / 4095 * 255))


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_what_is_transparent_shows_white(form):
    alpha = np.linspace(0, 255, 40 * 60).reshape(40, 60).round().astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.dstack([PIXELS, alpha])).save(file, form, **({"lossless": True, "exact": True}
                                                                   if form == "WEBP" else {}))
    part = alpha[..., None] / 255.0
    assert np.abs(images.decode(file.getvalue()) - (PIXELS * part + 255 * (1 - part))).max() <= 1


def test_a_fourth_channel_that_is_empty_hides_nothing():
    image = cv2.imencode(".png", np.dstack([PIXELS, np.zeros((40, 60), np.uint8)]))[1].tobytes()
    np.testing.assert_array_equal(images.decode(image), PIXELS[:, :, ::-1])


def test_floating_point_is_refused():
    with pytest.raises(Unusable, match="float32"):
        images.decode(cv2.imencode(".tif", PIXELS.astype(np.float32))[1].tobytes())


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


BOMBS = {
    "png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""),
    "jpg": b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 65000, 65000)
    + b"\x03\x01\x22\0\x02\x11\1\x03\x11\1\xff\xda\0\x0c\x03\1\0\2\x11\3\x11\0\x3f\0\xff\xd9",
    "pnm": b"P6 99999 99999 255\n", "bmp": b"BM" + bytes(12) + struct.pack("<Iii", 40, 90000, -90000) + bytes(30),
    "tif": b"II*\0\x08\0\0\0\2\0" + struct.pack("<HHIIHHIII", 256, 4, 1, 1 << 20, 257, 4, 1, 1 << 20, 0),
    "webp": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff" + bytes(8),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_never_reaches_the_decoder(kind, monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    assert images.header(BOMBS[kind]).kind == kind
    with pytest.raises(Unusable, match=r"pixels, more than") as caught:
        images.decode(BOMBS[kind], images.PHOTOGRAPH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", FILES)
def test_cut_short_at_every_byte(form):
    """A picture whose end is missing is refused, or loses nothing by it."""
    whole = images.decode(FILES[form])
    with images.complaints():
        for length in range(len(FILES[form])):
            try:
                pixels = images.decode(FILES[form][:length])
            except Unusable:
                continue
            np.testing.assert_array_equal(pixels, whole)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.integers(0, 1 << 12), st.binary(min_size=1, max_size=4)),
                                               min_size=1, max_size=3))
def test_damaged_bytes(form, changes):
    damaged = bytearray(FILES[form])
    for at, content in changes:
        at %= len(damaged)
        damaged[at:at + len(content)] = content
    with images.complaints():
        try:
            pixels = images.decode(bytes(damaged), 1 << 14)
            assert pixels.size <= 3 << 14
        except Unusable as unusable:
            assert "\n" not in str(unusable)


def mxnet_reads(image):
    """Whether MXNet's own decoder gives an image of the size that Pillow reads."""
    try:
        return mx.image.imdecode(image).shape == (*Image.open(io.BytesIO(image)).size[::-1], 3)
    except mx.base.MXNetError:
        return False


READ = [("JPEG", "RGB", {}), ("JPEG", "RGB", {"progressive": True}), ("JPEG", "L", {}), ("JPEG", "CMYK", {}),
        ("PNG", "RGB", {}), ("PNG", "RGBA", {}), ("PNG", "P", {}), ("PNG", "1", {}), ("PNG", "LA", {}),
        ("PNG", "I;16", {}), ("BMP", "RGB", {}), ("BMP", "P", {}), ("BMP", "1", {}), ("TIFF", "RGB", {}),
        ("TIFF", "P", {}), ("TIFF", "RGBA", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}), ("TIFF", "L", {"compression": "packbits"}),
        ("TIFF", "1", {"compression": "group3"}), ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "1", {"compression": "tiff_ccitt"})]
LACKING = [("WEBP", "RGB", {}, "WebP"), ("WEBP", "RGBA", {"lossless": True}, "WebP"), ("PPM", "RGB", {}, "PPM"),
           ("PPM", "L", {}, "PGM"), ("PPM", "1", {}, "PBM"), ("GIF", "P", {}, "GIF"),
           ("JPEG2000", "RGB", {}, "JPEG 2000"),
           ("TIFF", "RGB", {"compression": "tiff_deflate"}, "TIFF (Deflate)"), ("DDS", "RGB", {}, "DDS"),
           ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}, "TIFF (Deflate)"),
           ("TIFF", "RGB", {"compression": "jpeg"}, "TIFF (JPEG)"), ("ICO", "RGB", {}, "Windows icon"),
           ("TIFF", "L", {"compression": "lzma"}, "TIFF (LZMA)"), ("TIFF", "RGB", {"big_tiff": True}, "BigTIFF")]


@pytest.mark.parametrize(("form", "mode", "options"), READ)
def test_formats_that_mxnet_reads(form, mode, options):
    image = saved(form, mode, **options)
    assert mxnet_reads(image)
    assert images.lacking(image) is None
    assert images.for_record(image) is image
    assert images.size_in_training(image) == (40, 60)


@pytest.mark.parametrize(("form", "mode", "options", "name"), LACKING)
def test_formats_that_mxnet_lacks(form, mode, options, name):
    image = saved(form, mode, **options)
    assert not mxnet_reads(image)
    assert images.lacking(image) == name
    if name in ("GIF", "JPEG 2000", "DDS", "Windows icon", "BigTIFF"):
        with pytest.raises(Unusable, match=f"a {name} picture"):
            images.for_record(image)
    elif name != "TIFF (LZMA)":  # which OpenCV lacks as well
        kept = images.for_record(image)
        assert mxnet_reads(kept)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(kept))), images.decode(image))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_size_in_training(tmp_path, form, turned):
    """A white image within a black margin: its size is how much of the iterator's crop is white."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[274] = turned
    options = {"tiffinfo": exif} if form == "TIFF" else {"exif": exif}
    Image.fromarray(np.full((40, 60, 3), 255, np.uint8)).save(file, form, **options)
    writer = mx.recordio.MXIndexedRecordIO(str(tmp_path / "a.idx"), str(tmp_path / "a.rec"), "w")
    writer.write_idx(0, mx.recordio.pack(mx.recordio.IRHeader(0, 0.0, 0, 0), file.getvalue()))
    writer.close()
    data = mx.io.ImageRecordIter(path_imgrec=str(tmp_path / "a.rec"), path_imgidx=str(tmp_path / "a.idx"), pad=20,
                                 fill_value=0, data_shape=(3, 80, 80), batch_size=1, preprocess_threads=1,
                                 verbose=False).next().data[0].asnumpy()[0, 0]
    white = np.argwhere(data > 128)
    assert images.size_in_training(file.getvalue()) == tuple(np.ptp(white, axis=0) + 1)
    if form != "TIFF":  # which OpenCV turns whatever it is told
        assert images.decode_as_mxnet(file.getvalue()).shape[:2] == images.size_in_training(file.getvalue())


@pytest.mark.parametrize(("image", "words"), [
    (b"", "empty"), (b"GIF89a" + bytes(20), "is a GIF picture"), (bytes(100), "not a JPEG"),
    (b"\xff\xd8\xff", "damaged"),
    (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"), (b"\x89PNG\r\n\x1a\n", "damaged"), (b"P5 0 5 255\n", "no pixels")])
def test_no_picture(image, words):
    with pytest.raises(Unusable, match=words):
        images.decode(image)
    assert images.size(image) is None


def test_reading(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out.jpg").write_bytes(b"x")
    (tmp_path / "in" / "a.jpg").write_bytes(b"abc")
    os.symlink("a.jpg", tmp_path / "in" / "b.jpg")
    os.symlink("../out.jpg", tmp_path / "in" / "c.jpg")
    os.symlink("loop.jpg", tmp_path / "in" / "loop.jpg")
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    with open(tmp_path / "in" / "large.jpg", "wb") as file:
        file.truncate(images.LARGEST_FILE + 1)
    root = tmp_path / "in"
    assert images.read(root / "a.jpg", root) == images.read(root / "b.jpg", root) == b"abc"
    assert images.read(tmp_path / "out.jpg") == b"x"
    for path, words in [("c.jpg", "leads out"), ("../out.jpg", "leads out"), ("/etc/passwd", "leads out"),
                        ("loop.jpg", "cannot be read"), ("pipe.jpg", "not a file"), ("large.jpg", "more bytes"),
                        ("missing.jpg", "no such file"), ("a\0.jpg", "name"), (".", "not a file"),
                        ("x" * 300, "too long")]:
        with pytest.raises(Unusable, match=words):
            images.read(os.path.join(root, path), root)


def test_encoding():
    np.testing.assert_array_equal(images.decode(images.encode(PIXELS, None)), PIXELS)
    assert np.abs(images.decode(images.encode(PIXELS, 100)).astype(int) - PIXELS).mean() < 3
    assert len(images.encode(PIXELS, 30)) < len(images.encode(PIXELS, 95))


def test_complaints_are_kept_and_told_apart(capfd):
    damaged = saved("JPEG")
    damaged = damaged[:-60] + bytes(20) + damaged[-40:]
    with images.complaints() as heard:
        assert heard() == ""
        images.decode(damaged)
        assert "JPEG" in heard()
        assert heard() == ""
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"
