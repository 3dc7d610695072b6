"""Read a dataset's folder, a record file or a verification file whole, and say what is wrong with it.

    python datasets/check.py datasets/faces_emore
    python datasets/check.py datasets/faces_emore/lfw.bin
    python datasets/check.py datasets/mine --repair

An *error* is what stops training or verification, or makes it use other data than the file says; with one of them the
command ends with status 1. A *warning* is what both get along with: blank or repeated images, classes without images,
uneven folds; with these alone it ends with status 0. What is the same is found by the pixels. An image whose grey
levels have a standard deviation below 4 of 255 counts as blank.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

from datasets.checking.findings import Findings
from datasets.checking.pairs import check_verification_file
from datasets.checking.record import check_record
from runtime import Failure, run_command, shown
from runtime.flags import number


def parser():
    """Return the parser of the command's flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("path", help="a folder with train.rec, train.idx and property, a .rec, or a .bin")
    flags.add_argument("--repair", action="store_true", help="from a record that is whole, write the index where it is "
                       "missing or wrong, and property where it is missing or unreadable; what fits is not touched")
    flags.add_argument("--num-workers", type=number, help="decoding threads (default: one a core)")
    flags.add_argument("--most", type=number, default=10, help="lines of a kind that are printed; 0 for all "
                       "(default: %(default)s)")
    return flags


def main(arguments=None):
    """Check the file, print what was found, and fail where there are errors."""
    usage = parser()
    args = usage.parse_args(arguments)
    path = args.path
    if args.num_workers == 0:
        usage.error("--num-workers is at least 1")
    if not os.path.exists(path):
        raise Failure(f"{shown(path)} is missing: name a folder with train.rec, a .rec or a .bin")
    findings = Findings(args.most)
    if path.endswith(".bin") and not os.path.isdir(path):
        if args.repair:
            usage.error("--repair is for records: what a .bin lacks is in no other file")
        what = check_verification_file(path, findings, args.num_workers)
    else:
        what = check_record(path, findings, args.num_workers, args.repair)
    findings.close(what)
    if findings.errors:
        raise Failure(f"{shown(path)} has {findings.errors} errors, which are listed above with what to do")


if __name__ == "__main__":
    run_command(main)
