"""What is kept and printed of an evaluation on IJB-B or IJB-C."""
import hashlib
import os

import numpy as np

from eval.reporting import results
from eval.reporting.paper_numbers import of_benchmark

PROTOCOLS = {"one_gallery": "both galleries as one", "mean_of_two": "each gallery apart, mean of two"}


def data_of(target, root, paths, images, pairs, embeddings=None):
    """Return what tells the data from others: the folder, its counts, and one SHA-256 over the six files of `meta/`."""
    digest = hashlib.sha256()
    for path in (paths.images, paths.medias, paths.pairs, *paths.galleries, paths.probes):
        with open(path, "rb") as file:
            for block in iter(lambda file=file: file.read(1 << 20), b""):
                digest.update(block)
    return {"path": os.path.abspath(root), "target": target, "images": len(images.names),
            "templates": len(np.unique(images.templates)), "pairs": len(pairs.issame),
            "genuine": int(np.count_nonzero(pairs.issame)), "sha256": digest.hexdigest(),
            "embeddings": None if embeddings is None else os.path.abspath(embeddings)}


def evaluation_of(target, root, paths, switches, values, reasons, pairs, images, network=None, embeddings=None):
    """Return an evaluation as `eval.reporting.results.of_benchmark` makes it.

    Parameters
    ----------
    target, root : str
    paths : eval.protocols.ijb_files.Layout
    switches : eval.protocols.ijb.Switches
    values, reasons : dict
        From `eval.protocols.ijb.evaluate`.
    pairs, images
        As `eval.protocols.ijb_files` reads them.
    network : object, optional
        With `checkpoint`.
    embeddings : str, optional
        The file of ready-made embeddings.
    """
    protocol = {"name": target.lower(), "setting": switches.name, "keep_norms": switches.keep_norms,
                "detector_score": switches.detector_score}
    if reasons:
        values = {**values, "reason": reasons}  # beside what is null, for those who read the values alone
    data = data_of(target, root, paths, images, pairs, embeddings)
    return results.of_benchmark(protocol, values, data, network and network.checkpoint, switches.flip,
                                getattr(network, "engine", None), reasons)


def _percent(value):
    return f"{'–':>8}" if value is None else f"{100 * value:8.2f}"


def lines(target, switches, evaluation):
    """Return what is printed: TAR in both readings, identification in both protocols, and the paper's numbers."""
    values, data, reasons = evaluation["values"], evaluation["data"], evaluation["reasons"]
    how = [f"norms {'kept' if switches.keep_norms else 'dropped'}",
           f"detector score {'multiplied' if switches.detector_score else 'not used'}",
           "mirror image added" if switches.flip else "single crops"]
    found = [f"[{target}] {switches.name}: {', '.join(how)}; {data['images']:,} images, {data['templates']:,} "
             f"templates, {data['pairs']:,} pairs ({data['genuine']:,} genuine)",
             f"[{target}] {'1:1, % at FAR':<28}" + "".join(f"{key:>8}" for key in values["tar"])]
    for name, label in (("tar", "TAR (original's reading)"), ("tar_strict", "TAR (FAR at most that)")):
        found.append(f"[{target}] {label:<28}" + "".join(_percent(value) for value in values[name].values()))
    if "tar" in reasons:
        found.append(f"[{target}] no TAR: {reasons['tar']}")
    for name, label in PROTOCOLS.items():
        part = values[name]
        if part is None:
            found.append(f"[{target}] 1:N, {name} ({label}): none, for {reasons[name]}")
            continue
        ranks = ", ".join(f"rank-{key} {_percent(value).strip()}" for key, value in part["rank"].items())
        tpir = ", ".join(f"TPIR {_percent(value).strip()} at FPIR {key}" for key, value in part["tpir"].items())
        found.append(f"[{target}] 1:N, {name} ({label}), %: {ranks}; {tpir}")
    for number, rows in (of_benchmark(target.lower()) or {}).items():
        printed = "; ".join(f"{name} {100 * value:.1f}" for name, value in rows.items() if "ArcFace" in name)
        found.append(f"[{target}] paper, Table {number[-1]}, TAR at FAR 1e-04, %: {printed}")
    return found
