"""Which devices to run on: from the text of a flag to MXNet contexts."""
import argparse
import functools
import os
import re
import sys

from runtime import Failure, cards, mx


def count_gpus():
    """Return how many GPUs are visible to this process (CUDA_VISIBLE_DEVICES decides), 0 without a driver."""
    try:
        return mx.context.num_gpus()
    except mx.base.MXNetError:
        return 0


def usable_gpus():
    """Return the numbers of the visible GPUs that MXNet can use. Those of which the driver says nothing count."""
    visible = count_gpus()
    known = cards.visible() if visible else ()  # the driver's answer takes a while
    return [index for index in range(visible) if index >= len(known) or known[index].trains]


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


def unserved_gpus(known):
    """Return a line where MXNet cannot use some of the GPUs, with what it uses instead; else None.

    Parameters
    ----------
    known : sequence of cards.Card
        The visible GPUs: gpu:0, gpu:1, ….
    """
    left_out = [index for index, card in enumerate(known) if not card.trains]
    if not left_out:
        return None
    names = ", ".join(f"gpu:{index} ({known[index]})" for index in left_out)
    instead = "the CPU is" if len(left_out) == len(known) else "the other GPUs are"
    embed = f"; to embed on a GPU that MXNet cannot use, {cards.ENGINE}" if any(known[index].embeds
                                                                            for index in left_out) else ""
    return (f"note: MXNet cannot use {names}, and {instead} used: its wheels serve compute capability {cards.SERVED}"
            f"{embed}")


def _check_card(index, known):
    """Raise a Failure where MXNet cannot use the GPU of that number."""
    if index >= len(known) or known[index].trains:
        return
    other = next((number for number, card in enumerate(known) if card.trains), None)
    machine_code = ", ".join("sm_{}{}".format(*pair) for pair in cards.MACHINE_CODE)
    embed = f"; to embed on this GPU, {cards.ENGINE}" if known[index].embeds else ""
    raise Failure(f"gpu:{index} is a GPU that MXNet cannot use ({known[index]}): MXNet's wheels hold machine code for "
                  f"{machine_code} and no PTX, which serves compute capability {cards.SERVED}; use --ctx "
                  f"{'cpu' if other is None else f'gpu:{other}'}{embed}")


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
        Comma-separated devices, all of one kind. None or empty: every visible GPU that MXNet can use, or the CPU
        where there is none. A line on stderr says, once, which visible GPUs MXNet cannot use, or that
        CUDA_VISIBLE_DEVICES lists more GPUs than are visible.

    Returns
    -------
    list of mx.Context
        At least one, none twice.

    Raises
    ------
    argparse.ArgumentTypeError
        The text does not name devices.
    Failure
        It names a GPU that is not there, or one that MXNet cannot use, such as an H100.
    """
    visible = count_gpus()
    if not text:
        hidden = hidden_gpus(visible)
        known = cards.visible() if visible or hidden else ()
        explains = visible or not any(card.trains for card in known)  # else the list, or MXNet's build, is the reason
        note = (unserved_gpus(known) if explains else None) or hidden
        if note:
            _say_once(note)
        return [mx.gpu(index) for index in usable_gpus()] or [mx.cpu()]
    found = [re.fullmatch(r"(cpu|gpu)(?::([0-9]{1,4}))?", part.strip()) for part in text.split(",")]
    devices = [(match.group(1), int(match.group(2) or 0)) for match in found if match]
    if len(devices) != len(found) or len(set(devices)) != len(devices) or len({kind for kind, _ in devices}) != 1:
        raise argparse.ArgumentTypeError(f"{text!r} does not name devices: write cpu, cpu:0,cpu:1 or gpu:0,gpu:1")
    known = cards.visible() if devices[0][0] == "gpu" else ()
    for kind, index in devices:
        _check_card(index, known)
        if kind == "gpu" and index >= visible:
            there = "there is no GPU" if not visible else "there is one GPU" if visible == 1 else f"there are {visible}"
            raise Failure(f"gpu:{index} was asked for, and {there} visible here (a driver, requirements-cu112.txt and "
                          "CUDA_VISIBLE_DEVICES decide that); use --ctx cpu, or leave the flag out")
    return [mx.Context(kind, index) for kind, index in devices]
