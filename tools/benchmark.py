"""Measure how fast this project trains, embeds, verifies and reads here, beside plain MXNet, PyTorch and loops.

    python tools/benchmark.py
    python tools/benchmark.py --only train,embed --networks y1 --rounds 9 --json benchmark.json
    python tools/benchmark.py --only evaluation --rounds 1
    python tools/benchmark.py --only none --picture docs/throughput.png

Each row but the index's is a ratio within one run. What is compared has a process of its own, works alone and in turns,
and counts with the median of its turns. On a shared machine only ratios hold. `plain` is the network's graph as it is
saved, `plain, fused` the same with the operators fused that MXNet fuses by itself.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import time
from collections import namedtuple

from recognition.config.networks import NETWORKS as KNOWN
from recognition.reporting.progress import clock
from runtime import Failure, cores, run_command
from runtime.environment import installed, processor, versions
from runtime.files import write_json
from runtime.flags import positive
from tools.benchmarking import engines as benchmark_engines
from tools.benchmarking import evaluation as benchmark_evaluation
from tools.benchmarking import picture as benchmark_picture
from tools.benchmarking import rows as benchmark_rows
from tools.benchmarking.rows import HEAD_CLASSES

SECTIONS = ("train", "embed", "batch1", "verification", "head", "reading", "index", "evaluation")
USUAL = SECTIONS[:-1]  # the last one takes many minutes and several GB
NETWORKS = {"train": ["y1", "r50", "m1", "vargfacenet", "mnas025"], "embed": ["y1", "r50"],
            "batch1": ["y1", "r50", "r100"]}
# Seconds of a round of all that take turns, on two cores, by which the time that is left is told; others 12.
ROUND = {("train", "y1"): 11, ("train", "r50"): 20, ("train", "m1"): 12, ("train", "vargfacenet"): 11,
         ("train", "mnas025"): 7, ("embed", "y1"): 8, ("embed", "r50"): 10, ("batch1", "y1"): 2.5,
         ("batch1", "r50"): 2.5, ("batch1", "r100"): 3}

# The packages whose versions the figures depend on.
PACKAGES = ("mxnet", "numpy", "opencv-python", "onnxruntime", "openvino", "torch")

# `rows()` measures and yields them; `seconds` is how long that is expected to take.
Piece = namedtuple("Piece", "label seconds rows")


def pieces(sections, networks, batch_size, threads, rounds):
    """Return the `Piece`s of a run; `networks` and `batch_size` may be None."""
    found = []

    def add(label, seconds, rows, *arguments):
        found.append(Piece(label, seconds, lambda: rows(*arguments)))

    for section in ("train", "embed", "batch1"):
        for network in (networks or NETWORKS[section]) if section in sections else []:
            batch = batch_size or benchmark_rows.usual_batch(network)
            seconds = 12 + (rounds + 1) * ROUND.get((section, network), 12)
            if section == "batch1":
                add(f"batch1 {network}", seconds, benchmark_rows.batch1_rows, network, threads, rounds)
            else:
                add(f"{section} {network}", seconds, benchmark_rows.network_rows, section, network, batch, threads,
                    rounds)
    for network in (networks or benchmark_engines.NETWORKS) if "embed" in sections else ():
        add(f"engines {network}", 60 + 6 * (rounds + 1) * ROUND.get(("embed", network), 12), benchmark_engines.rows,
            network, threads, rounds)
    if "verification" in sections:
        add("verification", 8, benchmark_rows.verification_rows, rounds)
    for classes in HEAD_CLASSES if "head" in sections else ():
        losses = len(benchmark_rows.distinct_losses())
        seconds = 5 + losses * (rounds + 1) * 6e-6 * classes
        add(f"heads, {classes:,} classes", seconds, benchmark_rows.head_rows, classes, threads, rounds)
    if "reading" in sections:
        add("reading", 25, benchmark_rows.reading_rows, threads, rounds)
    if "index" in sections:
        add("index", 30, benchmark_rows.index_rows, threads)
    if "evaluation" in sections:
        found += [Piece(*piece) for piece in benchmark_evaluation.pieces(threads, rounds)]
    return found


def figure(value):
    """Return a figure as text with three digits or more."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.3g}"


def shown(row):
    """Return a row as a line of the table."""
    spread = "" if row.lowest is None else f"{row.lowest:.2f}–{row.highest:.2f}"
    ratio = "–" if row.ratio is None else f"{row.ratio:.2f}"
    compared = row.left if row.right is None else f"{row.left} ÷ {row.right}"
    return (f"{row.label:46} {compared:22} {figure(row.left_value):>7} {figure(row.right_value):>7} "
            f"{row.unit:9} {ratio:>7}  {spread:14} {row.note}").rstrip()


def plain_values(row):
    """Return a row as a dict of plain values."""
    values = row._asdict()
    return {**values.pop("facts"), **values}


def measure(planned):
    """Carry the pieces out, printing rows as they come and, on stderr, how long the rest takes.

    Returns
    -------
    rows : list of dict
    failed : list of str
        What went wrong with the pieces that could not be measured.
    """
    rows, failed, begun, done = [], [], time.perf_counter(), 0.0
    for number, piece in enumerate(planned):
        rest = sum(other.seconds for other in planned[number:])
        pace = (time.perf_counter() - begun) / done if done else 1.0
        print(f"[{piece.label}; {clock(rest * pace)} left]", file=sys.stderr, flush=True)
        try:
            for row in piece.rows():
                print(shown(row), flush=True)
                rows.append(plain_values(row))
        except Failure as failure:  # the others are still worth having
            failed.append(f"{piece.label}: {failure}")
            print(f"{piece.label}: not measured", flush=True)
        done += piece.seconds
    return rows, failed


def names(known):
    """Return the `type` of a flag that takes some of the known names, separated by commas."""
    def parse(text):
        found = [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in found if name not in known]
        if unknown or not found:
            raise argparse.ArgumentTypeError(f"{(unknown or [text])[0]!r} is none of {', '.join(known)}")
        return list(dict.fromkeys(found))
    return parse


def main(arguments=None):
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--only", type=names((*SECTIONS, "none")), default=list(USUAL), metavar="SECTIONS",
                       help=f"some of {','.join(SECTIONS)} (default: all but the last one); none, for the picture "
                       "alone")
    default = "; ".join(f"{section} {','.join(networks)}" for section, networks in NETWORKS.items())
    flags.add_argument("--networks", help="for these sections, some of " + ", ".join(KNOWN)
                       + f" (default: {default})")
    flags.add_argument("--batch-size", type=positive, help="images a batch (default 16, large networks 8)")
    flags.add_argument("--rounds", type=positive, default=3, help="turns of each that count (default 3)")
    flags.add_argument("--json", metavar="OUT", help="write all figures to this file as well")
    flags.add_argument("--picture", metavar="PNG",
                       help="measure throughput over threads, batch and classes, and draw it to this file")
    arguments = flags.parse_args(arguments)
    networks = [name.strip() for name in (arguments.networks or "").split(",") if name.strip()]
    for name in networks:
        if name not in KNOWN:
            raise Failure(f"unknown network {name!r}; known: {', '.join(KNOWN)}")

    if not os.environ["OMP_NUM_THREADS"].isdecimal():
        raise Failure(f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}: set it to one whole number, or unset it")
    for path in (arguments.json, arguments.picture):  # before minutes of measuring, not after them
        if path and not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
            raise Failure(f"{path} cannot be written: its folder is missing or not yours; name another")
    threads = int(os.environ["OMP_NUM_THREADS"])
    planned = pieces(arguments.only, networks, arguments.batch_size, threads, arguments.rounds)
    expected = sum(piece.seconds for piece in planned) + (benchmark_picture.SECONDS if arguments.picture else 0)
    print(f"{processor()}, {threads} thread{'s' * (threads > 1)}; medians of {arguments.rounds} turns; about "
          f"{clock(expected)} on two cores")
    begun = time.perf_counter()
    rows, failed = [], []
    if planned:
        print(f"{'':46} {'':22} {'left':>7} {'right':>7} {'':9} {'ratio':>7}  of single turns")
        rows, failed = measure(planned)
    curves = None
    if arguments.picture:
        curves = benchmark_picture.measure(networks or ["y1", "r50"], cores())
        print("wrote " + " and ".join(benchmark_picture.draw(arguments.picture, curves)))
    if arguments.json:
        write_json(arguments.json, {
            "processor": processor(), "cores": cores(), "threads": threads,
            "versions": {**versions(), **{package: installed(package) for package in PACKAGES}},
            "rounds": arguments.rounds, "seconds": time.perf_counter() - begun, "rows": rows, "failed": failed,
            "curves": curves})
    if failed:
        raise Failure("; ".join(failed))


if __name__ == "__main__":
    run_command(main)
