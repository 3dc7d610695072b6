"""Which devices to run on: from the text of a flag to MXNet contexts."""
import argparse
import functools
import os
import re
import sys

from runtime import Failure, mx


def count_gpus():
    """Return how many GPUs are visible to this process (CUDA_VISIBLE_DEVICES decides), 0 without a driver."""
    try:
        return mx.context.num_gpus()
    except mx.base.MXNetError:
        return 0


def hidden_gpus(visible):
    """Return a line where CUDA_VISIBLE_DEVICES lists GPUs of which MXNet sees fewer; else None.

    Parameters
    ----------
    visible : int
        How many GPUs MXNet sees.
    """
    text = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    listed = [part.strip() for part in text.split(",")]
    # CUDA takes the list as far as its first entry that names no device, as -1.
    past = next((place for place, part in enumerate(listed) if not re.match(r"\d|GPU-|MIG-", part)), len(listed))
    if past <= visible:
        return None
    sees = "no GPU" if not visible else "one GPU" if visible == 1 else f"{visible} GPUs"
    return (f"note: CUDA_VISIBLE_DEVICES is {ascii(text[:200])[1:-1]}, and this MXNet sees {sees}: it needs NVIDIA's "
            "driver, the build of requirements-cu112.txt and the GPUs of that list; `python tools/doctor.py` says "
            "which is missing")


@functools.cache
def _say_once(line):
    print(line, file=sys.stderr, flush=True)


def describe(contexts):
    """Return the devices in use as words: `gpu(0), gpu(1)`, or `cpu(0), 2 threads`."""
    names = ", ".join(map(str, contexts))
    if any(context.device_type == "gpu" for context in contexts):
        return names
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return f"{names}, {threads} thread{'s' * (threads != '1')}" if threads.isdigit() else names


def parse_context(text=None):
    """Turn `cpu`, `cpu:0,cpu:1` or `gpu:0,gpu:1` into contexts. Serves as the `type` of an argparse flag.

    Parameters
    ----------
    text : str or None
        Comma-separated devices, all of one kind. None or empty: every visible GPU, or the CPU where there is none.
        Where CUDA_VISIBLE_DEVICES lists more GPUs than are visible, a line on stderr says so, once.

    Returns
    -------
    list of mx.Context
        At least one, none twice.

    Raises
    ------
    argparse.ArgumentTypeError
        The text does not name devices.
    Failure
        It names a GPU that is not there.
    """
    visible = count_gpus()
    if not text:
        note = hidden_gpus(visible)
        if note:
            _say_once(note)
        return [mx.gpu(index) for index in range(visible)] or [mx.cpu()]
    found = [re.fullmatch(r"(cpu|gpu)(?::([0-9]{1,4}))?", part.strip()) for part in text.split(",")]
    devices = [(match.group(1), int(match.group(2) or 0)) for match in found if match]
    if len(devices) != len(found) or len(set(devices)) != len(devices) or len({kind for kind, _ in devices}) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not name devices: write cpu, cpu:0,cpu:1 or gpu:0,gpu:1")
    for kind, index in devices:
        if kind == "gpu" and index >= visible:
            there = "there is no GPU" if not visible else "there is one GPU" if visible == 1 else f"there are {visible}"
            raise Failure(f"gpu:{index} was asked for, and {there} visible here (a driver, requirements-cu112.txt and "
                          "CUDA_VISIBLE_DEVICES decide that); use --ctx cpu, or leave the flag out")
    return [mx.Context(kind, index) for kind, index in devices]
