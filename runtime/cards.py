"""Which NVIDIA GPUs the machine has, and which of them MXNet can use.

MXNet's published wheels hold machine code for some GPUs and no PTX, from which a driver could make code for others. So
MXNet runs on GPUs of compute capability 5.0 to 8.9. An example of a GPU that it cannot use is the H100 (9.0).
"""
import functools
import json
import os
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

from runtime import cuda_driver, nvidia, shown

MACHINE_CODE = ((5, 0), (6, 0), (7, 0), (8, 0), (8, 6))
"""The compute capabilities for which the wheels for CUDA 11.2 and 11.7 hold machine code: `cuobjdump --list-elf
libmxnet.so`. `--list-ptx` lists nothing."""
SERVED = "5.0 to 8.9"
OLDEST_FOR_ENGINES = (5, 0)  # older GPUs have no driver for CUDA 12, which onnxruntime-gpu needs
ENGINE = "install onnxruntime-gpu in place of onnxruntime, and use --engine onnxruntime"
SECONDS = 10  # in which a driver has to answer


class Card(NamedTuple):
    """A GPU that this process sees. MXNet's gpu:N is the Nth card.

    Attributes
    ----------
    name : str
        As the driver says it, such as ``NVIDIA H100 PCIe``; printable.
    capability : (int, int)
        Its compute capability, such as (9, 0).
    """

    name: str
    capability: tuple

    def __str__(self):
        """Return ``NVIDIA H100 PCIe, compute capability 9.0``."""
        return "{}, compute capability {}.{}".format(self.name, *self.capability)

    @property
    def trains(self):
        """Whether MXNet can use it: machine code runs on the same major version with an equal or higher minor one."""
        return any(self.capability[0] == major and self.capability[1] >= minor for major, minor in MACHINE_CODE)

    @property
    def embeds(self):
        """Whether a network can run on it: in MXNet, or in ONNX Runtime."""
        return self.trains or self.capability >= OLDEST_FOR_ENGINES


class NoAnswer(Exception):
    """The driver did not say which GPUs there are. The message is one line."""


class NoDriver(NoAnswer):
    """There is no driver."""


class Hangs(NoAnswer):
    """The driver took too long."""


def _run(*arguments):
    """Return what a program prints.

    Raises
    ------
    NoAnswer
        It cannot be started, fails, or takes too long.
    """
    name = os.path.basename(arguments[0])
    try:
        process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
    except OSError as error:
        raise NoAnswer(f"{name}: {error.strerror}") from None
    try:
        output = process.communicate(timeout=SECONDS)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        process.kill()  # and not waited for: a process that hangs in the driver may not end
        process.stdout.close()
        raise Hangs(f"the driver gave no answer in {SECONDS} s") from None
    if process.returncode:
        raise NoAnswer(f"{name} ended with status {process.returncode}")
    return output


def _from_cuda():
    """Return the visible cards as CUDA counts them."""
    output = _run(sys.executable, "-I", "-S", cuda_driver.__file__, nvidia.DRIVER)
    try:
        answer = json.loads(output)
        if "error" in answer:
            missing = "cannot open shared object file" in answer["error"]
            raise (NoDriver if missing else NoAnswer)(shown(answer["error"]))
        return [Card(shown(name), (int(major), int(minor))) for name, major, minor in answer["cards"]]
    except (ValueError, TypeError, KeyError):
        raise NoAnswer(f"the answer of {nvidia.DRIVER} makes no sense: {output[:80]!a}") from None


def _query(program, fields, line):
    """Ask nvidia-smi for fields of each GPU; return the groups of the pattern of a line."""
    output = _run(program, f"--query-gpu={fields}", "--format=csv,noheader")
    found = [re.fullmatch(line, text.strip()) for text in output.splitlines() if text.strip()]
    if not found or not all(found):
        raise NoAnswer(f"the answer of nvidia-smi makes no sense: {output[:80]!a}")
    return [match.groups() for match in found]


def _listed(text, known, identifiers):
    """Return the numbers of the GPUs that a CUDA_VISIBLE_DEVICES lists, as CUDA reads the list.

    Parameters
    ----------
    text : str
        Such as ``2,0`` or ``GPU-8932f937``. The list ends at its first entry that is no GPU, such as -1.
    known : container of int
        The numbers that there are.
    identifiers : callable
        Returns {number: ``GPU-8932f937-…``}. Called only where it is needed.
    """
    numbers = []
    for part in text.split(","):
        entry = part.strip()
        number = re.match(r"\d+", entry)
        if entry.startswith("MIG-"):
            raise NoAnswer("CUDA_VISIBLE_DEVICES lists parts of GPUs (MIG), which nvidia-smi does not describe")
        if entry.startswith("GPU-"):  # the beginning is enough where only one GPU has it
            matching = [number for number, identifier in identifiers().items() if identifier.startswith(entry)]
        else:
            matching = [int(number.group())] if number and int(number.group()) in known else []
        if len(matching) != 1:
            break
        if matching[0] in numbers:  # CUDA then shows no GPU at all
            return []
        numbers += matching
    return numbers


def _from_nvidia_smi(program):
    """Return the visible cards as nvidia-smi counts them: by slot, where CUDA puts the fastest first unless
    CUDA_DEVICE_ORDER=PCI_BUS_ID. It serves where the CUDA driver gives no answer, and so MXNet has no GPU either.
    """
    cards = {int(number): Card(shown(name), (int(major), int(minor))) for number, name, major, minor
             in _query(program, "index,name,compute_cap", r"(\d{1,4}), *(\S.*), *(\d{1,3})\.(\d{1,2})")}
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [cards[number] for number in sorted(cards)]
    return [cards[number] for number in _listed(visible, cards, lambda: {
        int(number): identifier for number, identifier in _query(program, "index,uuid", r"(\d{1,4}), *(GPU-.+)")})]


@functools.cache
def look():
    """Ask the driver for the GPUs that this process sees. It is asked once in a process.

    Returns
    -------
    cards : tuple of Card, or None
        In MXNet's order: the first is gpu:0. None where nothing is known.
    problem : str or None
        Why nothing is known, in one line. None where there is an answer, and where there is no driver.
    """
    try:
        cards, problem = tuple(_from_cuda()), None
    except NoAnswer as error:
        cards, problem = None, error
    program = shutil.which("nvidia-smi")
    if program and not cards and not isinstance(problem, Hangs):
        try:
            return tuple(_from_nvidia_smi(program)), None
        except NoAnswer as error:
            problem = error if isinstance(problem, NoDriver) else problem
    return cards, None if problem is None or isinstance(problem, NoDriver) else str(problem)


def visible():
    """Return the GPUs that this process sees, as `look` does, or no card where nothing is known."""
    return look()[0] or ()
