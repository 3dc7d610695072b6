"""The training data of triplet losses: bags of images, embedded with the network as it is, mined, and cut to batches.

Identities are shuffled, and up to five images of each, in a row, make a sequence; a run of it is a bag. A bag is an
epoch here: it is embedded and mined (`recognition.data.mining`) when it begins. When the sequence is used up, up to
what does not fill a bag, it is drawn anew. A bag without a semi-hard triplet, as small sets come to when all people are
apart by more than the margin, takes any impostor that is farther than the positive: the run goes on, with next to no
loss.

What is exact: the sequence, the draws of the mining, the order and the augmentation follow from the seed and the bag's
number alone; which triplets there are depends on the network's weights at the bag's begin as well. `state` gives the
bag's triplets, so that a run that is resumed within a bag goes on with the very ones that it was at.
"""
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from datasets.formats.labels import class_of
from datasets.formats.records import read_identities, read_layout, read_record, unpack
from datasets.formats.verification_file import decode
from recognition.data.augmentation import KNOWN, augment
from recognition.data.images import LARGE
from recognition.data.mining import semi_hard
from recognition.data.record_images import SAMPLE, check_images
from runtime import Failure, mx

SEQUENCE, MINING, AUGMENTING = range(3)  # what is random, each with a stream of numbers of its own
CHUNK = 256  # images decoded at a time for embedding
BARREN = 3  # bags without triplets in a row, after which there is no point in going on


class TripletIterator(mx.io.DataIter):
    """Batches `data` float32 (B, 3, 112, 112), RGB, 0…255, and `softmax_label` float32 (B,), a bag at a time.

    Each device's share of a batch is three thirds: anchors, positives, negatives, in the same order.

    Parameters
    ----------
    record : str or os.PathLike
        A dataset's folder or record file, with identity records.
    batch_size : int
        Images a batch, of this worker.
    devices : int
        Over which a batch is divided.
    embed : callable, optional
        Takes an iterable of uint8 arrays (n, 112, 112, 3), RGB, and returns embeddings (N, D) of the network as it is.
        It may be set later, as an attribute, but before the first bag.
    classes : int or None
        Labels have to be below it; None takes the number in `property`, where there is one.
    alpha, max_ap : float
        As `recognition.data.mining.semi_hard` takes them.
    bag_size : int
        Images a bag; clipped to what one pass over the identities gives.
    images_per_identity : int
    mirror : bool
        Mirror half of the images of a batch.
    augmentation : dict or None
        Further augmentation of a batch's images, by `recognition.data.augmentation`. Bags are embedded without.
    seed : int
    num_workers : int or None
        Decoding threads; None for a thread a core.
    part, parts : int
        This worker and their number: they take turns in taking a bag.

    Attributes
    ----------
    epoch, batch : int
        The bag and the batch within it that comes next, counted from 0.
    batches : int
        Batches of this bag. Triplets that do not fill one are left out; where they do not fill the only one, it is
        filled up with the first ones again, and `pad` says how many images that is.

    Raises
    ------
    Failure
        The record is damaged, has an image of another size or of a format that MXNet's decoder lacks, has no two
        images of one person, a batch does not divide by three on each device, or an
        option of the augmentation is not one of them.
    """

    def __init__(self, record, batch_size, devices=1, embed=None, classes=None, alpha=0.3, max_ap=0.0, bag_size=7200,
                 images_per_identity=5, mirror=True, augmentation=None, seed=0, num_workers=None, part=0,
                 parts=1):
        super().__init__(batch_size)
        if batch_size % (3 * devices):
            raise Failure(f"a batch of {batch_size} on {devices} device{'s' * (devices > 1)} does not divide into "
                          "anchors, positives and negatives: take a --per-batch-size that is a multiple of 3")
        unknown = sorted(set(augmentation or {}) - KNOWN)
        if unknown:
            raise Failure(f"triplets have no augmentation {unknown[0]}: there are {', '.join(sorted(KNOWN))}")
        self.augmentation = augmentation
        self._layout = layout = read_layout(record)
        self.record, self.devices, self.embed = layout.record, devices, embed
        self.classes = layout.classes if classes is None else classes
        self.alpha, self.max_ap, self.mirror, self.seed = alpha, max_ap, mirror, seed % 2**64
        self.part, self.parts, self.images_per_identity = part, parts, images_per_identity
        check_images(layout, (112, 112), "training takes", SAMPLE if layout.size > LARGE else None)
        self._ranges = read_identities(layout)
        counts = np.diff(self._ranges, axis=1).ravel()
        if np.count_nonzero(counts) < 2 or counts.max() < 2:
            raise Failure(f"{self.record} has {len(counts)} identity records, and triplets need two people with images "
                          "and one of them with two: make it from such folders with datasets/folder.py, or take "
                          "another loss")
        length = int(np.minimum(counts, images_per_identity).sum())
        self.bag_size = min(bag_size, length)
        self._bags = length // self.bag_size  # in one pass over the identities
        self._file = open(self.record, "rb")  # noqa: SIM115 - read by all threads until the end
        self._pool = ThreadPoolExecutor(num_workers or os.cpu_count() or 1)
        self._barren = 0
        self._sequence = (None, None)  # the number of a pass and its sequence
        self.provide_data = [mx.io.DataDesc("data", (batch_size, 3, 112, 112), np.float32)]
        self.provide_label = [mx.io.DataDesc("softmax_label", (batch_size,), np.float32)]

    def _rng(self, *stream):
        return np.random.default_rng([self.seed, *stream])

    def bag(self, epoch):
        """Return the images of a bag: their keys in the record and the row of each one's identity, int64 (N,)."""
        number, place = divmod(epoch * self.parts + self.part, self._bags)
        if self._sequence[0] != number:
            rng = self._rng(SEQUENCE, number)
            people = rng.permutation(len(self._ranges))
            drawn = [rng.permutation(np.arange(*self._ranges[who]))[:self.images_per_identity] for who in people]
            self._sequence = number, (np.concatenate(drawn), np.repeat(people, [len(keys) for keys in drawn]))
        run = slice(place * self.bag_size, (place + 1) * self.bag_size)
        keys, identities = self._sequence[1]
        return keys[run], identities[run]

    def start(self, epoch, batch=0, triplets=None):
        """Go to a batch of a bag.

        Parameters
        ----------
        epoch, batch : int
        triplets : array, optional
            Those of the bag, as `state` gave them; without them the bag is mined, with the network as it is.

        Raises
        ------
        Failure
            An image cannot be decoded, embeddings are not finite, or for the third time in a row no impostor at all
            is farther than a positive, as in embeddings that have collapsed to a point.
        """
        if self.part:  # a state is the first worker's; the others mine their bag anew and go through the whole of it
            batch, triplets = 0, None
        self.epoch, self.batch, self._ahead = epoch, batch, None
        self._triplets = self._mine() if triplets is None else self._checked(triplets)
        each = self.batch_size // 3
        self.batches = max(len(self._triplets) // each, int(len(self._triplets) > 0))

    def reset(self):
        """Go to the begin of the next bag."""
        self.start(self.epoch + 1)

    def state(self):
        """Return the bag's triplets, if it has any, by the name that `start` takes: keys of images, an int32 NDArray
        (T, 3).
        """
        return {"triplets": mx.nd.array(self._triplets, dtype=np.int32)} if len(self._triplets) else {}

    def next(self):
        """Return the next batch, an `mx.io.DataBatch`; StopIteration ends the bag. The one after it is decoded
        meanwhile.
        """
        if self.batch >= self.batches:
            raise StopIteration
        futures, pad = self._ahead or self._submit(self.batch)
        self.batch += 1
        self._ahead = self._submit(self.batch) if self.batch < self.batches else None
        images, labels = zip(*(future.result() for future in futures))
        data = np.ascontiguousarray(np.stack(images).transpose(0, 3, 1, 2), np.float32)
        return mx.io.DataBatch([mx.nd.array(data)], [mx.nd.array(labels)], pad=pad, index=None)

    def _submit(self, batch):
        """Let the threads decode a batch; return its images' futures in order, and how many only fill it up."""
        each = self.batch_size // 3
        chosen = self._triplets[batch * each:(batch + 1) * each]
        pad = 3 * (each - len(chosen))
        keys = np.resize(chosen, (self.devices, each // self.devices, 3)).transpose(0, 2, 1).ravel()
        stream = (AUGMENTING, self.epoch, self.part, batch)
        return [self._pool.submit(self._augmented, key, *stream, row) for row, key in enumerate(keys.tolist())], pad

    def _augmented(self, key, *stream):
        """Return an image, (112, 112, 3), as it comes in a batch, and its class."""
        image, label = self._load(key)
        rng = self._rng(*stream)
        if self.augmentation:
            image = augment(image, self.augmentation, rng)
        return image[:, ::-1] if self.mirror and rng.random() < 0.5 else image, label

    def _load(self, key):
        """Return an image, uint8 (112, 112, 3), RGB, and its class."""
        offset = int(self._layout.offsets_of(key))
        label, image = unpack(self.record, offset, read_record(self._file, self.record, offset, self._layout.size)[0])
        identity = class_of(label, f"{self.record}: image {key}", self.classes)
        return decode([image], name=self.record, first=key)[0], float(identity)

    def _mine(self):
        """Embed the bag and mine it; return its triplets as keys of images, int64 (T, 3), shuffled."""
        begun = time.perf_counter()
        keys, identities = self.bag(self.epoch)
        chunks = (np.stack([image for image, _ in self._pool.map(self._load, keys[begin:begin + CHUNK].tolist())])
                  for begin in range(0, len(keys), CHUNK))
        embeddings = self.embed(chunks)
        if not np.isfinite(embeddings).all():
            raise Failure("the network's embeddings are not finite: lower --lr, or start with --loss softmax and "
                          "continue with --pretrained")
        rng = self._rng(MINING, self.epoch, self.part)
        triplets, genuine, impostor = semi_hard(embeddings, identities, self.alpha, rng, self.max_ap)
        found = f"{len(triplets)} triplets"
        if not len(triplets):
            triplets, _, _ = semi_hard(embeddings, identities, np.inf, rng, self.max_ap)
            found = f"no semi-hard triplet, so {len(triplets)} triplets of any farther impostor,"
        rng.shuffle(triplets)
        print(f"bag {self.epoch}: {found} from {len(keys)} images of {len(np.unique(identities))} "
              f"people in {time.perf_counter() - begun:.1f} s; mean squared distance {genuine:.4f} of genuine pairs, "
              f"{impostor:.4f} of impostors", flush=True)
        self._barren = 0 if len(triplets) else self._barren + 1
        if self._barren == BARREN:
            raise Failure(f"{BARREN} bags in a row have no triplets: no impostor is farther than a genuine pair"
                          f"{f' within --triplet-max-ap {self.max_ap:g}' if self.max_ap else ''}, as when embeddings "
                          "collapse to a point; lower --lr, or start with --loss softmax and continue with --pretrained"
                          f"{', or raise --triplet-max-ap' if self.max_ap else ''}")
        return keys[triplets]

    def _checked(self, triplets):
        """Return triplets of a state, int64 (T, 3), if they can be this record's."""
        triplets = triplets.asnumpy() if isinstance(triplets, mx.nd.NDArray) else np.asarray(triplets)
        if triplets.ndim != 2 or triplets.shape[1] != 3 or not np.isin(triplets, np.asarray(self._layout.images)).all():
            raise Failure(f"the state's triplets are not of {self.record}: resume with the dataset that the run was "
                          "started with, or start without --resume")
        return triplets.astype(np.int64)
