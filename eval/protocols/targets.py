"""Which verification files are meant: names and paths, and where they are looked for.

This imports nothing that is installed, so that tools/doctor.py can use it where the environment is broken.
"""
import os
import re

from datasets.published import table
from runtime import Failure
from runtime.files import data_folders

DEFAULT_TARGETS = "lfw,cfp_fp,agedb_30"


def find_targets(targets, data_dir):
    """Find verification files.

    Parameters
    ----------
    targets : str or None
        Comma-separated names or paths (what ends in .bin, or contains a folder). None: lfw, cfp_fp and agedb_30, as
        far as they are there.
    data_dir : str
        A name is looked for as `DATA_DIR/NAME.bin`, then in the folders of `DATA_DIR`, in alphabetical order. A path
        that is not there, such as `base.bin`, is looked for in the same places.

    Returns
    -------
    found : list of (str, str)
        Name and path.
    missing : list of str
        Names that were not asked for and are not there.

    Raises
    ------
    Failure
        One that was asked for is missing, or all are.
    """
    found, missing = [], []
    for target in filter(None, map(str.strip, (targets or DEFAULT_TARGETS).split(","))):
        if target.endswith(".bin") or os.sep in target:
            name = os.path.splitext(os.path.basename(target))[0]
            path = target if os.path.exists(target) else _look_up(re.sub(r"\.bin$", "", target), data_dir)
            where = f"{target} is missing" + ("" if os.path.isabs(target) else f", here and in {data_dir}")
        else:
            name, path = target, _look_up(target, data_dir)
            where = f"{target}.bin is neither in {data_dir} nor in a folder of it"
        if path:
            found.append((name, path))
        elif targets:
            known = table.find(name)
            raise Failure(f"{where}; {known.how + '; or ' if known else ''}give its folder with --data-dir, or its "
                          "path with --target")
        else:
            missing.append(name)
    if not found:
        raise Failure(f"none of {', '.join(f'{name}.bin' for name in missing)} is in {data_dir} or a folder of it; "
                      f"{table.find(missing[0]).how}; give their folder with --data-dir, or other files with "
                      f"--target (for the small default set: {table.find('orl').how})")
    return found, missing


def _look_up(name, data_dir):
    """Return the path of a verification file by its name, or None."""
    if os.path.isabs(name):
        return None
    folders = [data_dir, *data_folders(data_dir)]
    return next((found[name] for found, _ in (sets_in(folder, [name]) for folder in folders) if found), None)


def sets_in(folder, names=None):
    """Find the verification files of one folder.

    Parameters
    ----------
    folder : str or os.PathLike
    names : list of str or None
        The names of files NAME.bin, such as lfw, in the order that is wanted. None: all that the folder lists, in
        alphabetical order.

    Returns
    -------
    found : dict of str to str
        Name and path of each file that is there, in that order.
    missing : list of str
        Names without a file. With `names` None these are the entries that are not files: folders, and links to what
        is not there.
    """
    if names is None:
        names = sorted(name[:-len(".bin")] for name in os.listdir(folder or os.curdir)
                       if name.endswith(".bin"))
    paths = {name: os.path.join(folder, f"{name}.bin") for name in names}
    found = {name: path for name, path in paths.items() if os.path.isfile(path)}
    return found, [name for name in paths if name not in found]
