"""Verification files, as Python 2 and 3 and NumPy 1 and 2 pickle them, and those that mean harm."""
import pickle
import pickletools
import struct

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datasets.formats import verification_file
from runtime import Failure, mx

# Written by Python 2.7.18 (cPickle) and NumPy 1.16.6, protocols 0, 1, 2:
# ([array(b"\xff\xd8ab"), array(b"\xff\xd8a")], [np.bool_(True)])
PYTHON2_NUMPY = [
    b"((lp1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntS'b'\ntRp4\n(I1\n(I4\ntcnumpy\n"
    b"dtype\np5\n(S'u1'\nI0\nI1\ntRp6\n(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\xff\\xd8ab'\ntbag2\n(g3\n(I0\ntS'b'\n"
    b"tRp7\n(I1\n(I3\ntg6\nI00\nS'\\xff\\xd8a'\ntba(lp8\ncnumpy.core.multiarray\nscalar\np9\n(g5\n(S'b1'\nI0\nI1\n"
    b"tRp10\n(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbS'\\x01'\ntRp11\nat.",
    b"(]q\x01(cnumpy.core.multiarray\n_reconstruct\nq\x02(cnumpy\nndarray\nq\x03(K\x00tU\x01btRq\x04(K\x01(K\x04t"
    b"cnumpy\ndtype\nq\x05(U\x02u1K\x00K\x01tRq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbI00\n"
    b"U\x04\xff\xd8abtbh\x02(h\x03(K\x00tU\x01btRq\x07(K\x01(K\x03th\x06I00\nU\x03\xff\xd8atbe]q\x08"
    b"cnumpy.core.multiarray\nscalar\nq\t(h\x05(U\x02b1K\x00K\x01tRq\n(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff"
    b"\xffK\x00tbU\x01\x01tRq\x0bat.",
    b"\x80\x02]q\x01(cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04("
    b"K\x01K\x04\x85cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    b"K\x00tb\x89U\x04\xff\xd8abtbh\x02h\x03K\x00\x85U\x01b\x87Rq\x07(K\x01K\x03\x85h\x06\x89U\x03\xff\xd8atbe]q"
    b"\x08cnumpy.core.multiarray\nscalar\nq\th\x05U\x02b1K\x00K\x01\x87Rq\n(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff"
    b"\xff\xffK\x00tbU\x01\x01\x86Rq\x0ba\x86."]
# The same by Python 3.12 and NumPy 2.1, protocols 2, 4, 5.
NUMPY2 = [
    b'\x80\x02]q\x00(cnumpy._core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03c_codecs\nencode\n'
    b'q\x04X\x01\x00\x00\x00bq\x05X\x06\x00\x00\x00latin1q\x06\x86q\x07Rq\x08\x87q\tRq\n(K\x01K\x04\x85q\x0bcnumpy\n'
    b'dtype\nq\x0cX\x02\x00\x00\x00u1q\r\x89\x88\x87q\x0eRq\x0f(K\x03X\x01\x00\x00\x00|q\x10NNNJ\xff\xff\xff\xffJ\xff'
    b'\xff\xff\xffK\x00tq\x11b\x89h\x04X\x06\x00\x00\x00\xc3\xbf\xc3\x98abq\x12h\x06\x86q\x13Rq\x14tq\x15bh\x01h\x02K'
    b'\x00\x85q\x16h\x08\x87q\x17Rq\x18(K\x01K\x03\x85q\x19h\x0f\x89h\x04X\x05\x00\x00\x00\xc3\xbf\xc3\x98aq\x1ah\x06'
    b'\x86q\x1bRq\x1ctq\x1dbe]q\x1ecnumpy._core.multiarray\nscalar\nq\x1fh\x0cX\x02\x00\x00\x00b1q \x89\x88\x87q!Rq"('
    b'K\x03h\x10NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq#bh\x04X\x01\x00\x00\x00\x01q$h\x06\x86q%Rq&\x86q\'Rq(a'
    b'\x86q).',
    b'\x80\x04\x95\xf0\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93'
    b'\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x04\x85\x94h\x04\x8c'
    b'\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff'
    b'K\x00t\x94b\x89C\x04\xff\xd8ab\x94t\x94bh\x03h\x06K\x00\x85\x94h\x08\x87\x94R\x94(K\x01K\x03\x85\x94h\x10\x89C'
    b'\x03\xff\xd8a\x94t\x94be]\x94h\x01\x8c\x06scalar\x94\x93\x94h\r\x8c\x02b1\x94\x89\x88\x87\x94R\x94(K\x03h\x11NNN'
    b'J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bC\x01\x01\x94\x86\x94R\x94a\x86\x94.',
    b'\x80\x05\x95\xe6\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94('
    b'C\x04\xff\xd8ab\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|'
    b'\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x04\x85\x94\x8c\x01C\x94t\x94R\x94h\x03(\x96\x03\x00\x00'
    b'\x00\x00\x00\x00\x00\xff\xd8a\x94h\nK\x03\x85\x94h\x0et\x94R\x94e]\x94\x8c\x16numpy._core.multiarray\x94\x8c\x06'
    b'scalar\x94\x93\x94h\x07\x8c\x02b1\x94\x89\x88\x87\x94R\x94(K\x03h\x0bNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t'
    b'\x94bC\x01\x01\x94\x86\x94R\x94a\x86\x94.']
# By Python 2.7.18: (["\xff\xd8a", "b\n'\"", "x", bytearray("\xff\x00")], [True, False]), protocols 0, 1, 2.
PYTHON2 = [
    b'((lp1\nS\'\\xff\\xd8a\'\np2\naS\'b\\n\\\'"\'\np3\naS\'x\'\nac__builtin__\nbytearray\np4\n(V\xff\x00\nS\'latin-1\''
    b'\ntRp5\na(lp6\nI01\naI00\nat.',
    b'(]q\x01(U\x03\xff\xd8aq\x02U\x04b\n\'"q\x03U\x01xc__builtin__\nbytearray\nq\x04(X\x03\x00\x00\x00\xc3\xbf\x00U'
    b'\x07latin-1tRq\x05e]q\x06(I01\nI00\net.',
    b'\x80\x02]q\x01(U\x03\xff\xd8aq\x02U\x04b\n\'"q\x03U\x01xc__builtin__\nbytearray\nq\x04X\x03\x00\x00\x00\xc3\xbf'
    b'\x00U\x07latin-1\x86Rq\x05e]q\x06(\x88\x89e\x86.']


@pytest.fixture
def read(tmp_path):
    """Read a file with these bytes."""
    def function(content):
        (tmp_path / "a.bin").write_bytes(content)
        return verification_file.read(tmp_path / "a.bin")
    return function


def fails(read, content, words=""):
    with pytest.raises(Failure, match=words) as caught:
        read(content)
    assert "\n" not in str(caught.value)
    assert "a.bin" in str(caught.value)


def test_published_file(shared):
    """Ten genuine pairs of `lfw.bin`, against MXNet's decoder, which the original uses."""
    images, issame = verification_file.read(shared / "reference" / "small_lfw.bin")
    assert len(images) == 20
    assert issame.dtype == bool
    assert issame.tolist() == [True] * 10
    decoded = verification_file.decode(images)
    assert decoded.dtype == np.uint8
    for image, pixels in zip(images, decoded):
        np.testing.assert_array_equal(pixels, mx.image.imdecode(image).asnumpy())


@pytest.mark.parametrize("content", PYTHON2_NUMPY + NUMPY2, ids=range(6))
def test_arrays_of_python_2_and_numpy_1_and_2(read, content):
    images, issame = read(content)
    assert images == [b"\xff\xd8ab", b"\xff\xd8a"]
    assert issame.tolist() == [True]


@pytest.mark.parametrize("content", PYTHON2, ids=range(3))
def test_strings_of_python_2(read, content):
    images, issame = read(content)
    assert images == [b"\xff\xd8a", b"b\n'\"", b"x", b"\xff\x00"]
    assert issame.tolist() == [True, False]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("issame", [[True, False], (1, 0), [np.bool_(True), np.bool_(False)], np.array([True, False]),
                                    np.array([1, 0]), np.array([1, 0], ">i4"), [np.int64(1), np.int64(0)]])
@pytest.mark.parametrize("container", [list, tuple])
def test_what_this_python_writes(read, protocol, issame, container):
    images = container([b"\xff\x80", bytearray(b"a"), np.arange(1, 5, dtype=np.uint8),
                        np.arange(8, dtype=np.uint8)[1::2]])
    images, same = read(pickle.dumps((images, issame), protocol))
    assert images == [b"\xff\x80", b"a", b"\1\2\3\4", b"\1\3\5\7"]
    assert same.tolist() == [True, False]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(min_size=1, max_size=9), st.booleans()),
                min_size=1, max_size=9))
def test_round_trip(tmp_path, pairs):
    path = tmp_path / "a.bin"
    images = [image for pair in pairs for image in pair[:2]]
    issame = [pair[2] for pair in pairs]
    verification_file.write(path, images, np.array(issame))
    read, same = verification_file.read(path)
    assert read == images
    assert same.tolist() == issame
    # The original unpickles as it stands; Python 2 knows protocols up to 2.
    assert pickle.loads(path.read_bytes()) == (images, issame)
    assert pickletools.genops(path.read_bytes()).__next__()[1] == 2
    first = path.read_bytes()
    verification_file.write(path, [bytes(bytearray(image)) for image in images], issame)
    assert path.read_bytes() == first


def made_by(content):
    """Return every text and string of a pickle's operations as bytes, by Python's own reader of operations."""
    return [argument.encode("latin-1") if isinstance(argument, str) else argument
            for _, argument, _ in pickletools.genops(content) if isinstance(argument, (str, bytes))]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(min_size=1, max_size=30), min_size=1, max_size=4, unique=True), st.data())
def test_an_image_is_stored_once(tmp_path, distinct, data):
    """However often it comes, and whether it is one object or several that are equal."""
    count = data.draw(st.integers(1, 20))
    places = data.draw(st.lists(st.integers(0, len(distinct) - 1), min_size=2 * count, max_size=2 * count))
    images = [bytes(bytearray(distinct[place])) for place in places]
    verification_file.write(tmp_path / "a.bin", images, [True] * count)
    content = (tmp_path / "a.bin").read_bytes()
    stored = made_by(content)
    for place in set(places):
        assert stored.count(distinct[place]) == 1 or distinct[place] == b"latin1"
    assert {opcode.proto <= 2 for opcode, _, _ in pickletools.genops(content)} == {True}
    for options in ({}, {"encoding": "bytes"}, {"encoding": "latin1"}):
        assert pickle.loads(content, **options) == (images, [True] * count)
    assert verification_file.read(tmp_path / "a.bin")[0] == images


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([b"", b"a", b"b", b"ab", b"a\0"]).map(lambda image: bytes(bytearray(image)))))
def test_different_images_by_a_loop(images):
    first, numbers = verification_file.distinct(images)
    expected = [i for i in range(len(images)) if not any(images[j] == images[i] for j in range(i))]
    assert first.tolist() == expected and first.dtype == numbers.dtype == np.int64
    assert numbers.tolist() == [next(row for row, j in enumerate(expected) if images[j] == image) for image in images]


@pytest.mark.parametrize("image", [b"\n", b"\\", b"\\u0041", b"\\\\u0041\\", b"a\r\n\0\x1a'\"",
                                   bytes(range(256)), b"\n" * 300])
def test_bytes_that_mean_something_to_pickle(tmp_path, image):
    verification_file.write(tmp_path / "a.bin", [image, b"x" + image], [True])
    assert pickle.loads((tmp_path / "a.bin").read_bytes(), encoding="bytes") == ([image, b"x" + image], [True])
    assert verification_file.read(tmp_path / "a.bin")[0] == [image, b"x" + image]


@pytest.mark.slow
def test_more_images_than_short_numbers_reach(tmp_path):
    images = [struct.pack(">I", number) for number in range(70_000)] * 2
    verification_file.write(tmp_path / "a.bin", images, [True, False] * 35_000)
    assert verification_file.read(tmp_path / "a.bin")[0] == images
    assert pickle.loads((tmp_path / "a.bin").read_bytes())[0] == images


def test_a_file_is_hardly_larger_than_its_images(tmp_path):
    """Of LFW, 6,000 pairs have 7,701 images; here it is a tenth of that."""
    rng = np.random.RandomState(0)
    distinct = [rng.bytes(5200) for _ in range(770)]
    images = [distinct[place] for place in [*range(770), *rng.randint(0, 770, 430)]]
    verification_file.write(tmp_path / "a.bin", images, [True, False] * 300)
    assert (tmp_path / "a.bin").stat().st_size < 1.06 * 770 * 5200
    assert (tmp_path / "a.bin").stat().st_size < 0.7 * sum(map(len, images))


def peak_of(read, content):
    import tracemalloc
    tracemalloc.start()
    try:
        result = read(content)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


ARRAY = b"cnumpy._core.numeric\n_frombuffer\n(%scnumpy\ndtype\n(U\x02u1I0\nI1\ntRI100000\n\x85U\x01CtR"


@pytest.mark.parametrize("entry", [
    b"B\xa0\x86\x01\0" + b"x" * 100_000, b"\x96\xa0\x86\x01\0\0\0\0\0" + b"x" * 100_000,
    b"c_codecs\nencode\nV" + b"x" * 100_000 + b"\nU\x06latin1\x86R",
    ARRAY % (b"B\xa0\x86\x01\0" + b"x" * 100_000)], ids=["bytes", "bytearray", "text", "array"])
def test_an_object_that_comes_a_thousand_times_takes_its_memory_once(read, entry):
    content = b"\x80\x02](" + entry + b"q\0" + b"h\0" * 1999 + b"e](" + b"\x88" * 1000 + b"e\x86."
    (images, _), peak = peak_of(read, content)
    assert images == [b"x" * 100_000] * 2000
    assert peak < 5_000_000


@pytest.mark.parametrize(("start", "again"), [
    (b"c_codecs\nencode\nq\0V" + b"x" * 100_000 + b"\nU\x06latin1\x86q\1R", b"h\0h\1R"),
    (b"cbuiltins\nbytes\nq\0\x96\xa0\x86\x01\0\0\0\0\0" + b"x" * 100_000 + b"\x85q\1R", b"h\0h\1R"),
    (ARRAY % (b"B\xa0\x86\x01\0" + b"x" * 100_000 + b"q\0"), ARRAY % b"h\0")], ids=["text", "bytearray", "array"])
def test_a_file_that_makes_much_of_little(read, start, again):
    """The bytes that a file's calls make are no more than it holds."""
    content = b"\x80\x02](" + start + again * 1999 + b"e](" + b"\x88" * 1000 + b"e\x86."
    _, peak = peak_of(lambda content: fails(read, content, "makes more bytes"), content)
    assert peak < 5_000_000


class Calls:
    """A pickle of this calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_nothing_is_executed(read, tmp_path):
    import builtins
    import os
    import subprocess
    flag = tmp_path / "executed"
    for protocol in range(6):
        for call in [Calls(os.system, f"touch {flag}"), Calls(subprocess.call, ["touch", str(flag)]),
                     Calls(builtins.eval, f"open({str(flag)!r}, 'w')"), Calls(open, str(flag), "w"),
                     Calls(getattr, "a", "upper"), Calls(np.load, str(flag)), Calls(np.dtype, "O"),
                     Calls(np.ndarray, (1,), "O"), Calls(bytearray, 1 << 40), Calls(np.zeros, 1 << 40)]:
            for value in ([call, b"b"], [True]), ([b"a", b"b"], [call]), call:
                fails(read, pickle.dumps(value, protocol))
    fails(read, f"cos\nsystem\n(S'touch {flag}'\ntR.".encode(), "asks for 'os.system'")
    fails(read, f"(S'touch {flag}'\nios\nsystem\n.".encode(), "asks for 'os.system'")
    assert not flag.exists()


@pytest.mark.parametrize("content", [
    b"", b".", b"not a pickle", b"\x80\x04.", b"\x89.", b"N.", b"\x80\x63.", b"I" + b"9" * 100 + b"\n.",
    b"cnumpy\nndarray\n.", b"cnumpy\nndarray\n)R.", b"cnumpy\ndtype\n(S'O8'\ntR.", b"cnumpy\ndtype\n)\x81.",
    b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00rottR.",
    b"\x80\x02]r\xff\xff\xff\x7f.",  # has memory for two billion objects made
    b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.", b"\x8e\xff\xff\xff\xff\x00\x00\x00\x00.",
    b"\x95\xff\xff\xff\xff\xff\xff\xff\x7f.", b"\x82\x01.", b"Pid\n.", b"(" * 100000 + b".",
    b"c__builtin__\nbytearray\n}S'x'\nI1\nsb.",  # sets an attribute of a function
])
def test_other_pickles(read, content):
    fails(read, content)


def test_a_file_that_alters_what_it_calls(read):
    """Attributes that one file sets are not there for the next."""
    alters = b"c_codecs\nencode\n(N}S'__defaults__'\n(tstb0cnumpy\nndarray\n(N}S'value'\nS'x'\nstb."
    fails(read, alters)
    test_arrays_of_python_2_and_numpy_1_and_2(read, NUMPY2[0])


@pytest.mark.parametrize("value", [
    ([], []), ([b"a", b"b"], []), ([b"a"], [True]), ([b"a", b"b", b"c"], [True]), ([b"a", b"b"], [True, False]),
    ([b"a", b""], [True]), ([b"a", None], [True]), ([b"a", "text"], [True]), ([b"a", [b"b"]], [True]),
    ([b"a", np.zeros(3)], [True]), ([b"a", np.zeros(3, np.int32)], [True]), ([b"a", np.array([], np.uint8)], [True]),
    ([b"a", b"b"], [None]), ([b"a", b"b"], [2]), ([b"a", b"b"], [0.5]), ([b"a", b"b"], ["yes"]), ([b"a", b"b"], True),
    ([b"a", b"b"], [np.array([True, False])]), ([b"a", b"b"], {True: 1}),
    ({b"a": b"b"}, [True]), (b"ab", [True]), [b"a", b"b"], ([b"a", b"b"], [True], 1), None, 7, "text",
    (np.zeros((2, 5), np.uint8), [True]),
])
def test_other_contents(read, value):
    fails(read, pickle.dumps(value, 4))


def test_missing(tmp_path):
    with pytest.raises(Failure, match="is missing"):
        verification_file.read(tmp_path / "a.bin")


@pytest.mark.parametrize("content", [PYTHON2[0], PYTHON2[2], PYTHON2_NUMPY[1], *NUMPY2],
                         ids=range(6))
def test_cut_short_at_every_byte(read, content):
    for length in range(len(content)):
        fails(read, content[:length])


@pytest.mark.slow
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PYTHON2 + PYTHON2_NUMPY + NUMPY2), st.data())
def test_damaged_bytes(read, content, data):
    """Changed bytes are a failure or another content; never another exception."""
    content = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        images, issame = read(bytes(content))
        assert len(images) == 2 * len(issame) > 0
        assert all(type(image) is bytes for image in images)
    except Failure as failure:
        assert "\n" not in str(failure)


@pytest.mark.parametrize(("images", "issame"), [([], []), ([b"a"], [True]), ([b"a", b"b"], [])])
def test_write_refuses(tmp_path, images, issame):
    with pytest.raises(Failure):
        verification_file.write(tmp_path / "a.bin", images, issame)
    assert not list(tmp_path.iterdir())


def encode(pixels, extension=".png"):
    return cv2.imencode(extension, pixels)[1].tobytes()


def test_decode_equals_mxnet():
    pixels = np.random.RandomState(0).randint(0, 256, (112, 112, 3)).astype(np.uint8)
    jpeg = encode(pixels, ".jpg")
    turned = b"Exif\0\0MM\0*\0\0\0\10" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)  # as a camera says it
    exif = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(turned) + 2) + turned + jpeg[2:]
    grey, transparent = pixels[..., 0], np.dstack([pixels, pixels[..., :1]])
    images = [encode(pixels), jpeg, exif, encode(grey), encode(grey, ".jpg"), encode(pixels, ".bmp"),
              encode(transparent), encode(pixels.astype(np.uint16) * 257)]
    decoded = verification_file.decode(images)
    for image, expected in zip(images, decoded):
        np.testing.assert_array_equal(mx.image.imdecode(image).asnumpy(), expected)
    np.testing.assert_array_equal(decoded[0], pixels[..., ::-1])
    np.testing.assert_array_equal(decoded[3], np.repeat(pixels[..., :1], 3, axis=2))


def test_decode_another_size():
    pixels = np.zeros((96, 96, 3), np.uint8)
    assert verification_file.decode([encode(pixels)], size=96).shape == (1, 96, 96, 3)
    with pytest.raises(Failure, match="b.bin: image 7 is 96×96 where 112×112 is needed"):
        verification_file.decode([encode(pixels)], name="b.bin", first=7)


@pytest.mark.parametrize("image", [b"x", b"\xff\xd8\xff", encode(np.zeros((112, 112, 3), np.uint8), ".jpg")[:100],
                                   encode(np.zeros((112, 112, 3), np.uint8))[:20]])
def test_decode_what_is_no_image(image):
    with pytest.raises(Failure, match="image 0 cannot be decoded"):
        verification_file.decode([image])


def test_identities_are_what_genuine_pairs_connect():
    images = [b"e", b"a", b"a", b"b", b"c", b"d", b"b", b"e", b"c", b"c"]
    issame = [False, True, False, True, True]
    # a, b and e are connected through genuine pairs; image 0 is e, so they are identity 0.
    assert verification_file.identities(images, issame).tolist() == [0, 0, 0, 0, 1, 2, 0, 0, 1, 1]
    assert verification_file.identities([b"a", b"b", b"a", b"c"], [False, False]).tolist() == [0, 1, 0, 2]
