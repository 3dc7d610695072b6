"""Say what is installed against what is wanted, what works, and how to mend what does not.

    python tools/doctor.py

Ends with 0 where all that is required works, else with 1. It needs nothing that is installed, MXNet included.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import json
import platform
import shutil
import signal
import subprocess
import tempfile
import textwrap
from pathlib import Path
from typing import NamedTuple

import runtime
from runtime import cards, nvidia, run_command, shown
from runtime.environment import installed
from tools.environment.packages import fits, pins

ROOT = Path(runtime.ROOT)
WIDTH = 100
REMAKE = "make clean setup, which makes the environment anew"
BUILDS = ("requirements.txt", "requirements-cu112.txt")  # of which a machine has one
WHEELS = "tools/environment/wheels"  # the folders from which the requirements take MXNet
TWINS = (("mxnet", "mxnet-cu112"), ("opencv-python", "opencv-python-headless"),
         ("opencv-python", "opencv-contrib-python"), ("nvidia-cudnn-cu11", "nvidia-cudnn-cu12"))


class Row(NamedTuple):
    """One thing that was looked at: `ok`, `fails`, `note` (works, can be better) or `absent` (and can be)."""
    name: str
    state: str
    found: str
    fix: str = ""


def python():
    """Look at the interpreter."""
    found = f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}"
    if runtime.OLDEST <= sys.version_info[:2] <= runtime.NEWEST:
        return Row("Python", "ok", found)
    newest = "python{}.{}".format(*runtime.NEWEST)
    return Row("Python", "fails", found, f"install {runtime.PYTHONS} and name it: make setup PYTHON={newest}")


def optional_packages(path):
    """Look at a requirements file that training can do without."""
    wanted = pins(path)
    found = {package: installed(package) for package in wanted}
    fix = f"pip install -r {path.name}"
    if not next(iter(found.values()), None):  # what the file is for stands first; the others may come with anything
        return Row(path.name, "absent", "optional: " + ", ".join(wanted), fix)
    wrong = [f"{package} {found[package] or 'is missing'} (wanted {version})" for package, version in wanted.items()
             if not fits(found[package], version)]
    if wrong:
        return Row(path.name, "note", ", ".join(wrong), fix)
    return Row(path.name, "ok", f"{len(wanted)} packages as pinned")


def twins():
    """Look for pairs of packages of which each overwrites files of the other."""
    return [Row(second, "note", f"is installed beside {first}, and both own the same files", REMAKE)
            for first, second in TWINS if installed(first) and installed(second)]


def probes():
    """Try what MXNet can do, in a process of its own: tools/environment/probes.py."""
    if not any(map(installed, ("mxnet", nvidia.GPU_BUILD))):
        return [Row("MXNet", "fails", "is not installed", "make setup, or pip install -r requirements.txt")]
    # A role from a job for several machines would make a server of it, which waits for ever.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DMLC_")}
    try:
        done = subprocess.run([sys.executable, "-m", "tools.environment.probes"], capture_output=True, text=True,
                              cwd=ROOT, env=environment, timeout=300)
        output, error, status = done.stdout, done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        output, error, status = (late.stdout or b"").decode(), "it had no answer in 300 s", 1
    rows = [Row(*json.loads(line)) for line in output.splitlines() if line.startswith('["')]
    name = f"MXNet after {rows[-1].name}" if rows else "MXNet"
    if status < 0:
        rows.append(Row(name, "fails", f"the process ended with {signal.Signals(-status).name}", REMAKE))
    elif status:  # what it says last is what to do
        rows.append(Row(name, "fails", (error.strip().splitlines() or ["ended without saying why"])[-1]))
    return rows


def gpus():
    """Ask the driver which GPUs there are, and say what each can do: train and embed, or embed alone."""
    known, problem = cards.look()
    if problem:
        return [Row("NVIDIA GPUs", "note", f"not known: {problem}", "`nvidia-smi` has to list the GPUs")]
    rows = []
    for index, card in enumerate(known or ()):
        if card.trains:
            row = "ok", f"{card}: can train and embed", ""
        elif card.embeds:
            row = "note", f"{card}: cannot train, can only embed through an engine", f"to embed: {cards.ENGINE}"
        else:
            row = "note", f"{card}: can neither train nor embed", f"MXNet serves {cards.SERVED}: use --ctx cpu"
        rows.append(Row(f"gpu:{index}", *row))
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if known is not None and hidden is not None:
        rows.append(Row("CUDA_VISIBLE_DEVICES", "note", f"is {shown(hidden[:200]) or 'empty'}: GPUs that it does not "
                        "list are hidden", "unset CUDA_VISIBLE_DEVICES to see all GPUs"))
    return rows or [Row("NVIDIA GPUs", "absent", "none" if known is not None else "there is no NVIDIA driver")]


def datasets(root=ROOT):
    """Look for the datasets of the table under a repository's root."""
    try:
        from eval.protocols.targets import sets_in
        from recognition.config.datasets import DATASETS
    except (ImportError, SystemExit) as error:
        return [Row("datasets", "note", f"their table does not import: {error}", "mend the packages above")]
    rows = []
    for name, entry in DATASETS.items():
        folder = root / entry["dataset_path"]
        missing = [file for file in ("train.rec", "train.idx", "property") if not (folder / file).is_file()]
        if len(missing) == 3:
            rows.append(Row(name, "absent", f"{entry['dataset_path']}/ has no train.rec", entry["how"]))
        elif missing:
            rows.append(Row(name, "note", f"{folder} lacks {', '.join(missing)}", entry["how"]))
        else:
            try:
                sets = sets_in(folder)[0]
            except OSError as error:
                rows.append(Row(name, "note", f"{folder}: {error.strerror}", "give yourself read access"))
            else:
                rows.append(Row(name, "ok", f"{folder}; verification on {', '.join(sets) or 'nothing'}"))
    return rows


def models(root=ROOT):
    """Try to write where checkpoints of the repository at a root go."""
    place = root / "models"
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return Row("models/", "fails", f"{place}: {error.strerror}", "give yourself write access, or use --models-root")
    free = shutil.disk_usage(place).free / 1e9
    if free < 3:
        return Row("models/", "note", f"can be written; {free:.1f} GB free", "free some: a run of r100 keeps 3 GB")
    return Row("models/", "ok", f"can be written; {free:.0f} GB free")


def show(title, rows):
    """Print rows under a title: name, state and what was found, with what to do on a line of its own."""
    print(f"\n{title}")
    margin = " " * 32
    for row in rows:
        print(textwrap.fill(f"  {row.name:<21} {row.state:<7} {row.found}", WIDTH, subsequent_indent=margin,
                            break_on_hyphens=False))
        if row.fix:
            label = "get" if row.state == "absent" else "fix"
            print(textwrap.fill(f"{label}: {row.fix}", WIDTH, initial_indent=margin, subsequent_indent=margin + "     ",
                                break_on_hyphens=False))


def show_packages(wanted):
    """Print the table of required packages; return the names of those that do not fit."""
    line = "  {:<26}{:<15}{:<15}{}"
    print("\n" + line.format("package", "wanted", "found", "fix"))
    wrong = []
    for package, version in wanted.items():
        found, fix = installed(package), ""
        if not fits(found, version):
            fix = f"pip install ./{WHEELS}/{package}" if (ROOT / WHEELS / package).is_dir() else \
                f"pip install {package}=={version}"
            wrong.append(package)
        print(line.format(package, version, found or "-", fix).rstrip())
    return wrong


def main(arguments=None):
    argparse.ArgumentParser(description=__doc__.split("\n")[0]).parse_args(arguments)
    build = BUILDS[nvidia.gpu_build()]
    others = sorted(path for path in ROOT.glob("requirements-*.txt")
                    if path.name not in (*BUILDS, "requirements-common.txt"))

    rows = [python()]
    show(f"Installed, against {build}", rows)
    wrong = show_packages(pins(ROOT / build))
    show("Packages besides", twins() + [optional_packages(path) for path in others])
    for title, look in (("What works", probes), ("GPUs", gpus), ("Datasets", datasets),
                        ("Checkpoints", lambda: [models()])):
        found = look()
        show(title, found)
        sys.stdout.flush()
        rows += found

    wrong += [row.name for row in rows if row.state == "fails"]
    verdict = f"Required and not right: {', '.join(wrong)}." if wrong else "All that is required works."
    print("\n" + textwrap.fill(verdict, WIDTH))
    return 1 if wrong else 0


if __name__ == "__main__":
    run_command(main)
