"""The training data: MXNet's own decoding iterator over a record file exactly as it was published.

`mx.io.ImageRecordIter` takes a record to end where the next one in its index begins. Given an index
of the images alone, it would read the records that hold no image as part of the last image. So it
gets a *sidecar*: an index that lists the n images of a worker's share and then n more entries, all at
the record after them. Told to read the first of two parts, it reads the n images and stops there. The sidecar's last
line is a digest, by which a sidecar that is empty, cut or changed is found.
"""
import contextlib
import errno
import glob
import hashlib
import math
import os
import re

import numpy as np

from datasets.checking.record import UNREADABLE
from datasets.formats.labels import class_of, is_class
from datasets.formats.records import FRAME, HEADER, MAGIC, find_stray, read_layout, read_record, unpack
from recognition.data.record_images import SAMPLE, check_images
from runtime import Failure, mx
from runtime.files import plain_name, user_cache, whole_file

LARGE = 1 << 28  # bytes of a record file from which on not every record is looked at before training
AUGMENTATION = frozenset("""resize rand_crop max_crop_size min_crop_size pad fill_value inter_method max_rotate_angle
    max_aspect_ratio max_shear_ratio max_random_scale min_random_scale max_img_size min_img_size
    random_h random_s random_l max_random_contrast max_random_illumination""".split())
"""Options of ImageRecordIter that `augmentation` may set."""
CROPPING = ("resize", "rand_crop", "max_crop_size", "min_crop_size", "pad", "max_img_size", "min_img_size")
"""Those that say how images of another size come to the size of training."""


def train_iterator(record, batch_size, classes=None, image_shape=(3, 112, 112), shuffle=True, mirror=True,
                   augmentation=None, seed=0, epoch=0, num_workers=None, part=0, parts=1, cache_dir=None,
                   large=LARGE, sample=SAMPLE):
    """Make the iterator over a training record.

    Parameters
    ----------
    record : str or os.PathLike
        A dataset's folder or a record file; one of images alone may come without an index.
    batch_size : int
    classes : int or None
        Labels have to be below it; None takes the number in `property`, where there is one.
    image_shape : (int, int, int)
        Channels, height, width. The images and `property`, where there is one, have to agree. Where `augmentation`
        has an option of `CROPPING`, only the images have to agree with `property`, or with the first of them.
    shuffle : bool
        False keeps the order of the file.
    mirror : bool
        Mirror half of the images, drawn anew each time.
    augmentation : dict or None
        Further options of ImageRecordIter, of those in `AUGMENTATION`.
    seed, epoch : int
        Order and augmentation follow from these two, whatever the number of threads.
    num_workers : int or None
        Decoding threads; None for a thread a core. MXNet takes no more than half the cores less one, and one at least.
    part, parts : int
        This worker and the number of workers. In each epoch every image comes at exactly one of
        them; from epoch to epoch the shares go round, for each is a run of the file, and so of identities.
    cache_dir : str, os.PathLike or None
        Where the sidecar lies. None: beside the record, or in the user's cache where that folder cannot be written.
    large : int
        Bytes. In a record file above this size, `sample` images are looked at before training, else all images.
    sample : int

    Returns
    -------
    TrainIterator

    Raises
    ------
    Failure
        The record is missing, damaged, has fewer images than a batch, or an option is unknown. An image is of another
        size, or of a format that MXNet's decoder lacks.
    """
    return TrainIterator(record, batch_size, classes, image_shape, shuffle, mirror, augmentation, seed, epoch,
                         num_workers, part, parts, cache_dir, large, sample)


class TrainIterator(mx.io.DataIter):
    """Batches `data` float32 (B, 3, 112, 112), RGB, 0…255, and `softmax_label` float32 (B,), an epoch at a time.

    Attributes
    ----------
    epoch, batch : int
        Where it stands: the next batch is this one, counted from 0.
    batches : int
        Batches of this epoch. The last may be filled up with images of the epoch's begin; its `pad` says how many.
    """

    def __init__(self, record, batch_size, classes, image_shape, shuffle, mirror, augmentation, seed, epoch,
                 num_workers, part, parts, cache_dir, large, sample):
        super().__init__(batch_size)
        layout = read_layout(record)
        unknown = sorted(set(augmentation or {}) - AUGMENTATION)
        if unknown:
            raise Failure(f"augmentation has no option {unknown[0]}: there are {', '.join(sorted(AUGMENTATION))}")
        size, stated = tuple(image_shape[1:]), (layout.height, layout.width)
        cropped = any((augmentation or {}).get(option) for option in CROPPING)
        if layout.height and not cropped and stated != size:
            raise Failure(f"{layout.record} has images of {layout.width}x{layout.height}, where training takes "
                          f"{image_shape[2]}x{image_shape[1]}: make it anew at that size")
        self.record, self.classes, self.seed, self.part, self.parts = layout.record, classes, seed, part, parts
        self._layout, self._cache_dir, self._large = layout, cache_dir, large
        self._names = contextlib.ExitStack()  # those by which MXNet reads the files, for as long as it does
        if classes is None:
            self.classes = layout.classes
        fewest = len(layout.images) // parts
        if fewest < batch_size:
            share = f" for each of {parts} workers" if parts > 1 else ""
            raise Failure(f"{layout.record} has {fewest} images{share}, fewer than a batch of {batch_size}: "
                          "take a smaller batch")
        record = _readable(layout.record)
        check_images(layout, stated if layout.height else None if cropped else size,
                     "`property` says" if layout.height else "training takes", sample if layout.size > large else None)
        self._options = dict(
            augmentation or {}, path_imgrec=record, data_shape=tuple(image_shape),
            batch_size=batch_size, label_width=layout.label_width, shuffle=shuffle, rand_mirror=mirror,
            preprocess_threads=num_workers or os.cpu_count() or 1, verbose=False,
            prefetch_buffer=1,  # MXNet never frees further ones, and there is a new iterator each epoch
            device_id=-1)  # plain memory: pinned memory needs a GPU, and copies are a small part of a step
        self.provide_data = [mx.io.DataDesc("data", (batch_size, *image_shape), np.float32)]
        self.provide_label = [mx.io.DataDesc("softmax_label", (batch_size,), np.float32)]
        self.start(epoch)

    def start(self, epoch, batch=0):
        """Go to a batch of an epoch; what follows is what an uninterrupted run gives from there.

        The batches before it are decoded once more, which is all that MXNet offers.
        """
        self._close()
        self.epoch, self.batch = epoch, 0
        images = _share(len(self._layout.images), self._turn(), self.parts)
        self.batches = math.ceil(len(images) / self.batch_size)
        self.skip(batch)

    def state(self):
        """Return what `start` takes beside the position: nothing, for all follows from the seed and the epoch."""
        return {}

    def reset(self):
        """Go to the begin of the next epoch."""
        self.start(self.epoch + 1)

    def skip(self, batches):
        """Leave out the next batches of this epoch."""
        for _ in range(min(batches, self.batches - self.batch)):
            self._advance()

    def next(self):
        """Return the next batch, an `mx.io.DataBatch`; StopIteration ends the epoch.

        Raises
        ------
        Failure
            An image cannot be decoded, or a label is not one of the classes.
        """
        if self.batch >= self.batches:
            if self._source is not None:
                self._source.iter_next()  # sees the end: MXNet does not free what it still holds ready
            self._close()
            raise StopIteration
        self._advance()
        label = self._source.getlabel().asnumpy()
        label = label[:, 0] if label.ndim == 2 else label
        self._check(label)
        # A copy: MXNet reuses the memory of its own label for a later batch, and reports read labels a step late.
        return mx.io.DataBatch([self._source.getdata()], [mx.nd.array(label)], pad=self._source.getpad(), index=None)

    def _turn(self):
        """Return which share this worker has in this epoch."""
        return (self.part + self.epoch) % self.parts

    def _close(self):
        self._source = None
        self._names.close()

    def _advance(self):
        """Let MXNet decode the next batch."""
        try:
            if self._source is None:
                self._source = self._open()
                self._source.first_batch = None  # which it has read already, and would give again
                more = True
            else:
                more = self._source.iter_next()
        except mx.base.MXNetError as error:
            reason = str(error).strip().splitlines()[-1].split("error: ")[-1]
            raise Failure(f"{self.record}: an image cannot be decoded ({reason}); `python "
                          f"datasets/check.py {self.record}` names it; get the file again") from None
        if not more:
            raise Failure(f"{self.record} gave fewer images than its index lists: "
                          "it was changed meanwhile; start again")
        self.batch += 1

    def _open(self):
        """Return MXNet's iterator over this epoch."""
        order, augmentation = np.random.SeedSequence([self.seed % 2**64, self.epoch]).generate_state(2) >> 2
        # `seed_aug` is what makes augmentation independent of which thread decodes an image: MXNet
        # then draws an image's from this number and its place in the batch.
        index = _readable(sidecar(self._layout, self._turn(), self.parts, self._cache_dir, self._large))
        record, index = (self._names.enter_context(plain_name(path)) for path in (self.record, index))
        return mx.io.ImageRecordIter(**dict(
            self._options, path_imgrec=record, path_imgidx=index, num_parts=2, part_index=0, seed=int(order),
            seed_aug=int(augmentation)))

    def _check(self, label):
        wrong = ~is_class(label, self.classes)
        if wrong.any():
            class_of(label[wrong][0], self.record, self.classes)


def _share(count, part, parts):
    """Return the range of images of one of several workers; shares differ by one image at most."""
    return range(count * part // parts, count * (part + 1) // parts)


def _readable(path):
    """Return a path, unless MXNet takes it for something else: it has its own meaning for three signs."""
    if UNREADABLE.search(path):
        raise Failure(f"MXNet cannot read {path}: rename what has a #, ; or ? in its name")
    return path


def sidecar(layout, part, parts, cache_dir=None, large=LARGE):
    """Return the path of the index for a worker's share of the images, after writing it where it is missing.

    Its name tells the size and time of the record and its index, so that a new one is made when these change. Older
    ones are removed then. Its last line is a digest of the lines before: MXNet stops at the first line that is not two
    numbers. A sidecar that is empty, cut or of other lines does not have that digest, and is written again. The share's
    records are checked when it is written.

    Parameters
    ----------
    layout : datasets.formats.records.Layout
    part, parts : int
        The worker's number and how many there are.
    cache_dir : str, os.PathLike or None
        Where it lies; None as `train_iterator` says.
    large : int
        Bytes. The records of a file above this size are not checked.

    Raises
    ------
    Failure
        The record is damaged, or the sidecar cannot be written anywhere.
    """
    stem = os.path.splitext(os.path.basename(layout.record))[0]
    mark = _fingerprint(layout.record)
    refused = None
    own = user_cache(hashlib.sha256(os.fsencode(layout.record)).hexdigest()[:12])
    for folder in [cache_dir] if cache_dir else [os.path.dirname(layout.record), own]:
        path = os.path.join(os.path.abspath(folder), f".{stem}-{mark}-{part}of{parts}.idx")
        if _is_whole(path, layout):
            return path
        try:
            if os.path.exists(path) and not os.path.isfile(path):  # nothing of ours: it stays as it is
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
            os.makedirs(folder, exist_ok=True)
            with whole_file(path) as file:
                _write_sidecar(_Digested(file, path, layout), layout, _share(len(layout.images), part, parts), large)
        except OSError as error:
            refused = refused or error
            continue
        _remove_older(path, stem, mark)
        return path
    raise Failure(f"no index can be written beside {layout.record} or in the user's cache ({refused.strerror}): "
                  "make one of the two writable, or set XDG_CACHE_HOME to a folder that is")


def _remove_older(path, stem, mark):
    """Remove the sidecars that belonged to the record before it changed."""
    for older in glob.glob(os.path.join(glob.escape(os.path.dirname(path)), f".{glob.escape(stem)}-*of*.idx")):
        if re.fullmatch(rf"\.{re.escape(stem)}-[0-9a-f]{{12}}-\d+of\d+\.idx", os.path.basename(older)) \
                and f"-{mark}-" not in older:
            with contextlib.suppress(OSError):  # another process was faster, or it is none of our files
                os.unlink(older)


def _fingerprint(record):
    """Return twelve digits that change when a record file or its index does."""
    facts = []
    for path in (record, os.path.splitext(record)[0] + ".idx"):
        if os.path.exists(path):
            about = os.stat(path)
            facts.append((about.st_size, about.st_mtime_ns))
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]


class _Digested:
    """A file of a sidecar's lines, which `close` ends with the line of their digest."""

    def __init__(self, file, path, layout):
        self._file, self._digest = file, _begin_digest(path, layout)

    def write(self, lines):
        self._digest.update(lines)
        self._file.write(lines)

    def close(self):
        self._file.write(_last_line(self._digest))


def _begin_digest(path, layout):
    """Return the digest before the first line: of the name and of where the records are. It tells a sidecar of another
    share, or of another record whose files have the same sizes and times.
    """
    digest = hashlib.blake2b(os.fsencode(os.path.basename(path)), digest_size=16)
    digest.update(repr((len(layout.images), int(layout.images[0]), int(layout.images[-1]))).encode())
    digest.update(np.ascontiguousarray(layout.offsets, np.int64))
    return digest


def _last_line(digest):
    return f"# {digest.hexdigest()}\n".encode()


def _is_whole(path, layout, chunk=1 << 20):
    """Whether a sidecar is a file of lines that end with their digest."""
    if not os.path.isfile(path):  # to open a pipe would wait
        return False
    digest = _begin_digest(path, layout)
    length = len(_last_line(digest))
    try:
        with open(path, "rb") as file:
            left = os.fstat(file.fileno()).st_size - length
            while left > 0:
                lines = file.read(min(chunk, left))
                if not lines:
                    return False
                digest.update(lines)
                left -= len(lines)
            return left == 0 and file.read() == _last_line(digest)
    except OSError:
        return False


def _write_sidecar(file, layout, share, large, chunk=1 << 20):
    """Write the lines of a sidecar; checks each record of a small file on the way.

    The heads of millions of records lie all over a large file: to look at each is to read most of it, which
    `datasets/check.py` does. Here it would keep a training run waiting for minutes.
    """
    starts, images = np.sort(layout.offsets), np.sort(layout.offsets_of(layout.images))
    stray = find_stray(layout.record, starts, images)
    if stray:
        raise Failure(stray)
    offsets = images[share.start:share.stop]
    after = np.searchsorted(starts, offsets) + 1
    ends = np.append(starts, layout.size)[after]
    if layout.size <= large:
        _check_records(layout, offsets, ends)
    for offsets_ in (offsets, np.full(len(offsets), ends[-1])):
        for begin in range(0, len(offsets_), chunk):
            lines = [f"{row}\t{offset}\n" for row, offset in enumerate(offsets_[begin:begin + chunk].tolist(), begin)]
            file.write("".join(lines).encode())
    file.close()


def _check_records(layout, offsets, ends):
    """Look at the heads of image records, for MXNet follows the lengths in them without a look of its own."""
    words = np.memmap(layout.record, dtype="<u4", mode="r", shape=(layout.size // 4,))
    first = offsets // 4
    magic, length = words[first], words[first + 1].astype(np.int64)
    flag = words[np.minimum(first + FRAME.size // 4, len(words) - 1)].astype(np.int64)
    good = (magic == MAGIC) & (offsets + FRAME.size + (length + 3) // 4 * 4 == ends)
    good &= (HEADER.size + 4 * flag < length) & (np.maximum(flag, 1) == layout.label_width)
    with open(layout.record, "rb") as file:
        for row in np.flatnonzero(~good):
            offset = int(offsets[row])
            # Records in several parts, which are rare, get here as well.
            content, end = read_record(file, layout.record, offset, layout.size)
            label, image = unpack(layout.record, offset, content)
            if end != ends[row] or not image or np.size(label) != layout.label_width:
                key = layout.keys[layout.offsets == offset][0]
                raise Failure(f"{layout.record}: record {key} at byte {offset} is not an image with as many labels as "
                              f"the first ({layout.label_width}) that ends where the next record begins; `python "
                              f"datasets/check.py {layout.record}` lists all like it; get the file and its index again")
