"""What the benchmark measures of IJB-C: its pairs of templates from the file to TAR, and both identifications.

Templates are drawn: unit vectors of 512 numbers, clustered like identities, as many as IJB-C has. The file of pairs is
written first. What is measured has a process of its own, whose peak of memory is a row as well.
"""
import os
import statistics
import tempfile

import numpy as np

from tools.benchmarking.contenders import Contender
from tools.benchmarking.evaluation_scores import peak_bytes
from tools.benchmarking.rows import Row

DIMENSION = 512
GALLERIES = (1772, 1759)  # templates, one a subject
PROBES = 19_593
PAIRS, GENUINE = 15_700_000, 19_557


def drawn(galleries=GALLERIES, probes=PROBES, seed=0):
    """Return numbers (T,), unit vectors float64 (T, 512) and subjects (T,): the galleries' templates, then the probes.
    """
    random, subjects = np.random.default_rng(seed), sum(galleries)
    centres = random.standard_normal((subjects, DIMENSION), np.float32)
    owners = np.concatenate([np.arange(subjects), random.integers(0, subjects, probes)])
    vectors = (centres[owners] + 1.4 * random.standard_normal((len(owners), DIMENSION), np.float32)).astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.arange(1, len(owners) + 1), vectors, owners


def write_pairs(path, owners, enrolled, pairs=PAIRS, genuine=GENUINE, seed=1):
    """Write a file of pairs of gallery templates and probes; return how many it has."""
    random, written, each = np.random.default_rng(seed), 0, -(-pairs // enrolled)
    texts = np.array([str(number) for number in range(1, len(owners) + 1)], object)
    places = np.arange(enrolled, len(owners))
    own = places[np.argsort(owners[places], kind="stable")]
    bounds = np.searchsorted(owners[own], np.arange(enrolled + 1))
    with open(path, "w", encoding="ascii") as file:
        for template in range(enrolled):
            mates = own[bounds[template]:bounds[template + 1]][:-(-genuine // enrolled)]
            others = random.integers(enrolled, len(owners), 2 * each)
            others = others[owners[others] != template][:each - len(mates)]
            for rows, same in ((mates, 1), (others, 0)):
                if len(rows):
                    start = f"{template + 1} "
                    file.write(start + f" {same}\n{start}".join(texts[rows]) + f" {same}\n")
            written += len(mates) + len(others)
    return written


def verification(path, galleries=GALLERIES, probes=PROBES):
    """Return a function that reads the pairs and gives TAR at six FARs, and the peak of memory in bytes."""
    from eval.protocols import ijb, ijb_files, ijb_templates
    numbers, vectors, _ = drawn(galleries, probes)

    def step():
        pairs = ijb_files.read_pairs(path, numbers)
        scores = ijb_templates.pair_scores(vectors, pairs.first, pairs.second)
        return {"tar": ijb.verification(scores, pairs.issame)["tar"], "pairs": len(scores), "peak_bytes": peak_bytes()}
    return step


def identification(galleries=GALLERIES, probes=PROBES):
    """Return a function that searches the probes in both protocols, and gives rank-1 and the peak of memory."""
    from eval.protocols import ijb
    from eval.protocols.ijb_files import Subjects
    numbers, vectors, owners = drawn(galleries, probes)
    bounds = np.cumsum([0, *galleries, probes])
    *enrolled, searched = [Subjects(numbers[begin:end], owners[begin:end], "")
                           for begin, end in zip(bounds, bounds[1:])]

    def step():
        values, _ = ijb.identify(numbers, vectors, enrolled, searched)
        return {"rank": {name: found["rank"]["1"] for name, found in values.items()}, "peak_bytes": peak_bytes()}
    return step


def _rows(label, step, threads, rounds, facts, note, **settings):
    """Yield the rows of seconds and of memory of a step that nothing is compared with."""
    with Contender(f"tools.benchmarking.evaluation_ijb:{step}", threads, span=0, **settings) as contender:
        taken = [contender.turn() for _ in range(rounds)]
    seconds = statistics.median(seconds for seconds, _ in taken)
    yield Row("evaluation", label, "ours", None, seconds, None, "s", None, facts=facts, note=note)
    yield Row("evaluation", label, "ours", None, taken[-1][1]["peak_bytes"] / 1e9, None, "GB", None, facts=facts,
              note="the process's peak")


def verification_rows(threads, rounds, galleries=GALLERIES, probes=PROBES, pairs=PAIRS, genuine=GENUINE):
    """Yield the rows of 1:1: reading the file of pairs, their scores, TAR at six FARs in both readings."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "pairs.txt")
        written = write_pairs(path, drawn(galleries, probes)[2], sum(galleries), pairs, genuine)
        facts = {"templates": sum(galleries) + probes, "pairs": written}
        yield from _rows(f"IJB-C 1:1, {written:,} pairs", "verification", threads, rounds, facts,
                         f"{facts['templates']:,} templates, from the file to TAR at six FARs", path=path,
                         galleries=galleries, probes=probes)


def identification_rows(threads, rounds, galleries=GALLERIES, probes=PROBES):
    """Yield the rows of 1:N: all probes in both galleries, as one and apart."""
    facts = {"probes": probes, "galleries": list(galleries)}
    yield from _rows(f"IJB-C 1:N, {probes:,} probes", "identification", threads, rounds, facts,
                     f"galleries of {galleries[0]:,} and {galleries[1]:,}, both protocols", galleries=galleries,
                     probes=probes)


def pieces(threads, rounds):
    """Return the pieces of this part, as `tools.benchmarking.evaluation` takes them."""
    return [("evaluation, IJB-C 1:1", 25 + 20 * rounds, lambda: verification_rows(threads, rounds)),
            ("evaluation, IJB-C 1:N", 10 + 8 * rounds, lambda: identification_rows(threads, rounds))]
