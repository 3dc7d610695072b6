"""What the benchmark measures of MegaFace and Trillion-Pairs: scores beside their float32 product, and beside faiss.

Embeddings are drawn: unit vectors of 512 numbers, clustered like identities. Each contender has a process of its own
with its own copy of the embeddings, and contenders work one after the other.
"""
import importlib.util
import os
import resource
import statistics
import sys
import tempfile

import numpy as np

from datasets.formats import opencv_matrix
from datasets.identities.scores import units
from tools.benchmarking.contenders import Contender
from tools.benchmarking.rows import Row

DIMENSION = 512
PROBES, PEOPLE, DISTRACTORS = 3530, 80, 1_000_000
TRILLION = (100_000, 1_580_000)  # probes of the row, and the gallery
ALL_PROBES = 274_000
SLICE = 32_768  # of the gallery that is measured
PIECE = 8192


def drawn(count, people, seed):
    """Yield unit vectors, float32 (n, 512), of images of so many people, a block at a time."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((min(people, 4096), DIMENSION), np.float32)
    for first in range(0, count, PIECE):
        number = min(PIECE, count - first)
        block = random.standard_normal((number, DIMENSION), np.float32)
        block += centres[random.integers(0, len(centres), number)]
        yield units(block).astype(np.float32)


def filled(count, people, seed):
    """Return those vectors as one array."""
    made, first = np.empty((count, DIMENSION), np.float32), 0
    for block in drawn(count, people, seed):
        made[first:first + len(block)] = block
        first += len(block)
    return made


def peak_bytes():
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def megaface(probes, distractors, best=10, far=1e-6):
    """Return a function that finds each probe's nearest and the threshold at a FAR, and gives plain values."""
    from datasets.identities.scores import Distance
    from datasets.identities.tails import scan
    from eval.measures.tails import counts_for
    first, second = filled(probes, PEOPLE, 1), filled(distractors, distractors // 50 + 1, 2)

    def step():
        count, = counts_for(len(first) * len(second), [far])
        found = scan(Distance(first, second, best), best, [count])
        return {"best": found.best[0].tolist(), "threshold": found.kth[count], "peak_bytes": peak_bytes()}
    return step


def faiss_search(probes, distractors, best=10):
    """Return a function that searches with faiss's IndexFlatIP and gives the first probe's squared distances."""
    import faiss
    faiss.omp_set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    index = faiss.IndexFlatIP(DIMENSION)
    first = filled(probes, PEOPLE, 1)
    for block in drawn(distractors, distractors // 50 + 1, 2):
        index.add(block)

    def step():
        found = index.search(first, best)[0]
        return {"best": (2 * found[0].astype(float) - 2).tolist(), "peak_bytes": peak_bytes()}
    return step


def product(rows, columns, columns_at_a_time=4096):
    """Return a function that multiplies the float32 matrices and nothing else; a block of columns is drawn again."""
    first, second = filled(rows, PEOPLE, 1), filled(min(columns, 65_536), 1000, 2)
    step_rows = 8192

    def step():
        for start in range(0, columns, columns_at_a_time):
            part = second[start % len(second):][:min(columns_at_a_time, columns - start)]
            for top in range(0, rows, step_rows):
                first[top:top + step_rows] @ part.T
    return step


def trillionpairs(path, probes, fpr=1e-9):
    """Return a function that finds the threshold at an FPR and each probe's best score, the gallery from a file."""
    from datasets.formats.opencv_matrix import Matrix, Picked
    from datasets.identities.scores import Cosine
    from datasets.identities.tails import scan
    from eval.measures.tails import counts_for
    features = Matrix(path)
    first = features[:probes]
    gallery = Picked(features, np.arange(probes, len(features)))

    def step():
        count, = counts_for(len(first) * len(gallery), [fpr])
        found = scan(Cosine(first, gallery), 1, [count])
        return {"threshold": found.kth[count], "peak_bytes": peak_bytes()}
    return step


def _turns(specifications, threads, rounds):
    """Start each contender, let it take its turns, and end it; return name → (seconds, last result)."""
    found = {}
    for name, step, settings in specifications:
        with Contender(f"tools.benchmarking.evaluation_scores:{step}", threads, span=0, **settings) as contender:
            taken = [contender.turn() for _ in range(rounds)]
        found[name] = ([seconds for seconds, _ in taken], taken[-1][1])
    return found


def _row(label, found, left, right, work, unit, facts, note=""):
    """Return the row of ours beside another that does the same work."""
    ratios = [theirs / ours for ours, theirs in zip(found[left][0], found[right][0])]
    ours, theirs = (statistics.median(found[name][0]) for name in (left, right))
    return Row("evaluation", label, left, right, work / ours, work / theirs, unit, theirs / ours, min(ratios),
               max(ratios), facts, note)


def megaface_rows(threads, rounds, probes=PROBES, distractors=DISTRACTORS):
    """Yield the rows of rank-1 and TAR at 1e-6: beside the product alone, beside faiss, and the memory."""
    settings = {"probes": probes, "distractors": distractors}
    specifications = [("ours", "megaface", settings),
                      ("SGEMM", "product", {"rows": probes, "columns": distractors})]
    absent = "" if importlib.util.find_spec("faiss") else "faiss-cpu not installed"
    if not absent:
        specifications.append(("faiss", "faiss_search", settings))
    found = _turns(specifications, threads, rounds)
    label, facts = f"{probes:,} probes × {distractors:,} distractors", settings
    work = 2 * DIMENSION * probes * distractors / 1e9
    yield _row(label, found, "ours", "SGEMM", work, "GFLOP/s", facts,
               f"{statistics.median(found['ours'][0]):.1f} s for rank 1 to 10 and TAR at 1e-6")
    if absent:
        yield Row("evaluation", label, "ours", "faiss", work / statistics.median(found["ours"][0]), None, "GFLOP/s",
                  None, facts=facts, note=absent)
    else:
        apart = np.abs(np.subtract(found["ours"][1]["best"], found["faiss"][1]["best"])).max()
        yield _row(label, found, "ours", "faiss", work, "GFLOP/s", facts,
                   "IndexFlatIP, 10 nearest" + (f"; distances differ by {apart:.1g}" if apart > 1e-4 else ""))
    yield Row("evaluation", label, "ours", None, found["ours"][1]["peak_bytes"] / 1e9, None, "GB", None, facts=facts,
              note="the process's peak")


def write_features(path, probes, gallery):
    """Write a Trillion-Pairs feature file of drawn embeddings."""
    with open(path, "wb") as file:
        file.write(opencv_matrix.head(probes + gallery, DIMENSION))
        for count, seed in ((probes, 1), (gallery, 2)):
            for block in drawn(count, count // 50 + 1, seed):
                file.write(block.astype("<f4").tobytes())


def trillionpairs_rows(threads, rounds, probes=TRILLION[0], gallery=TRILLION[1], measured=SLICE):
    """Yield the rows of exact thresholds at 1e-9 of a slice of the gallery, and the time of all computed from it."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "features.bin")
        write_features(path, probes, measured)
        found = _turns([("ours", "trillionpairs", {"path": path, "probes": probes}),
                        ("SGEMM", "product", {"rows": probes, "columns": measured})], threads, rounds)
    label, facts = f"{probes:,} × {measured:,} scores, 1e-9", {"probes": probes, "gallery": measured}
    work, seconds = 2 * DIMENSION * probes * measured / 1e9, statistics.median(found["ours"][0])
    whole = seconds * gallery / measured
    yield _row(label, found, "ours", "SGEMM", work, "GFLOP/s", facts,
               f"computed from {seconds:.1f} s: {probes:,} × {gallery:,} in {whole / 60:.0f} min, {ALL_PROBES:,} × "
               f"{gallery:,} in {whole * ALL_PROBES / probes / 3600:.1f} h")
    yield Row("evaluation", label, "ours", None, found["ours"][1]["peak_bytes"] / 1e9, None, "GB", None, facts=facts,
              note="the process's peak; it does not grow with the gallery")


def pieces(threads, rounds):
    """Return the pieces of this part, as `tools.benchmarking.evaluation` takes them."""
    return [("evaluation, MegaFace", 60 + 110 * rounds, lambda: megaface_rows(threads, rounds)),
            ("evaluation, Trillion-Pairs", 20 + 75 * rounds, lambda: trillionpairs_rows(threads, rounds))]
