"""Contenders of a benchmark: each in a process of its own, working one at a time and in turns.

    python -m tools.benchmarking.contenders '["tools.benchmarking.contenders:sgemm", {}, 1.0]'

That line is what a `Contender` starts. Such a process makes its step, says so, and then takes a turn for each line of
arguments that it reads, answering with a step's seconds. Threads, environment and libraries are its own.
"""
import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zlib

import cv2
import numpy as np

from runtime import ROOT, Failure, run_command

SPAN = 1.0  # seconds of steps in a turn, or one step where that takes longer
PAUSE = 0.05  # seconds between two turns, in which the threads of the one before go to sleep
# The user's settings of these would make a contender other than it is meant to be.
OWN = ("MXNET_SUBGRAPH_BACKEND", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def drawn(name, shape):
    """Return a parameter or running statistic, float32, that follows from its name and shape alone.

    Slopes are 0.25, normalisations change nothing, and weights keep the signal's size through a rectifier.
    """
    if name.endswith(("_beta", "_bias", "_mean")):
        return np.zeros(shape, np.float32)
    if name.endswith(("_gamma", "_var", "_alpha")):
        slope = name.endswith("_alpha") or "relu" in name or "_act_" in name
        return np.full(shape, 0.25 if slope else 1.0, np.float32)
    deviation = np.sqrt(1.8 / max(1, int(np.prod(shape[1:]))))
    return np.random.RandomState(zlib.crc32(name.encode())).normal(0, deviation, shape).astype(np.float32)


def drawn_images(count, seed=0):
    """Return drawn images, uint8 (count, 112, 112, 3): smooth with a little noise, as photographs are.

    That matters: plain MXNet's PReLU slows down where neighbours differ in sign, and on mere noise it would look
    worse than it is on faces.
    """
    random = np.random.RandomState(seed)
    images = [cv2.resize(random.uniform(40, 216, (7, 7, 3)), (112, 112), interpolation=cv2.INTER_CUBIC)
              + random.normal(0, 4, (112, 112, 3)) for _ in range(count)]
    return np.clip(images, 0, 255).astype(np.uint8)


def sgemm(size=2048, times=3):
    """Return a function that multiplies float32 matrices (size, size) with NumPy, and gives the best FLOP/s."""
    first, second = np.random.RandomState(0).normal(0, 1, (2, size, size)).astype(np.float32)

    def step():
        taken = []
        for _ in range(times):
            begun = time.perf_counter()
            first @ second
            taken.append(time.perf_counter() - begun)
        return 2 * size ** 3 / min(taken)
    return step


class Contender:
    """Work in a process of its own, which does it whenever told to.

    Parameters
    ----------
    step : str
        "module:function"; called with `settings`, the function returns what is done and timed, itself a function.
    threads : int
        Threads of OpenMP and OpenBLAS.
    environment : dict of str to str, optional
        Further environment variables. Those in `OWN` have no value but from here.
    span : float
        How long a turn is; with 0 it is the first step and no other.
    **settings
        Plain values.
    """

    def __init__(self, step, threads, environment=None, span=SPAN, **settings):
        self.name = step
        variables = {key: value for key, value in os.environ.items() if key not in OWN}
        paths = [ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
        variables.update(environment or {}, OMP_NUM_THREADS=str(threads), OPENBLAS_NUM_THREADS=str(threads),
                         PYTHONPATH=os.pathsep.join(paths))
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.benchmarking.contenders", json.dumps([step, settings, span])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said, env=variables, text=True)
        self._ready = False

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        status = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        raise Failure(f"{self.name} ended with status {status}: {lines[-1] if lines else 'it said nothing'}")

    def wait(self):
        """Wait until the work can begin."""
        if not self._ready:
            self._answer()
            self._ready = True

    def turn(self, *arguments):
        """Do the work, with arguments that are plain values.

        Returns
        -------
        seconds : float
            Of one step.
        result
            What the last step returned; of an array, its first row as a list.

        Raises
        ------
        Failure
            The process has ended.
        """
        self.wait()
        time.sleep(PAUSE)
        with contextlib.suppress(BrokenPipeError):  # _answer says why
            self._process.stdin.write(json.dumps(arguments) + "\n")
            self._process.stdin.flush()
        return self._answer()

    def close(self):
        """End the process."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()


def take_turns(contenders, rounds, warm_up=1):
    """Let contenders work in turns, never two at a time.

    Parameters
    ----------
    contenders : dict of str to Contender
    rounds : int
        Turns of each that count.
    warm_up : int
        Turns of each before these, which do not.

    Returns
    -------
    seconds : dict of str to list of float
    results : dict of str to list
        What these turns returned.
    """
    for contender in contenders.values():  # all start up at the same time, and none works while another does
        contender.wait()
    seconds, results = {name: [] for name in contenders}, {name: [] for name in contenders}
    for turn in range(warm_up + rounds):
        for name, contender in contenders.items():
            taken, result = contender.turn()
            if turn >= warm_up:
                seconds[name].append(taken)
                results[name].append(result)
    return seconds, results


def serve(step, answers, span):
    """Take a turn for each line of arguments on standard input, and answer with a line of JSON: [seconds, result].

    A turn is a step that does not count, for it finds threads asleep and caches full of another's data, and then steps
    for a second, as they follow each other in use. With a span of 0 a turn is one step.
    """
    print(json.dumps("ready"), file=answers, flush=True)
    for line in sys.stdin:
        arguments = json.loads(line)
        if span:
            step(*arguments)
        count, begun = 0, time.perf_counter()
        while not count or time.perf_counter() - begun < span:
            result = step(*arguments)
            count += 1
        seconds = (time.perf_counter() - begun) / count
        if isinstance(result, np.ndarray):
            result = result[0].tolist()
        print(json.dumps([seconds, result]), file=answers, flush=True)


def main():
    if len(sys.argv) != 2:
        raise Failure("this is started by tools/benchmark.py")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere
    where, settings, span = json.loads(sys.argv[1])
    module, name = where.split(":")
    serve(getattr(importlib.import_module(module), name)(**settings), answers, span)


if __name__ == "__main__":
    run_command(main)
