"""The losses by their command-line names: what each is, and the row of the paper's Table 2 that it stands for."""
from typing import NamedTuple

from recognition.losses.objective import TRIPLETS_ALONE


class Loss(NamedTuple):
    """A loss of the table.

    Attributes
    ----------
    settings : dict
        What it sets in a configuration, `loss_name` first.
    table2 : str or None
        Its row of the paper's Table 2.
    note : str
        What is said of a loss that stands for no row.
    """

    settings: dict
    table2: str = None
    note: str = ""

    @property
    def has_classifier(self):
        """Whether there is a weight for each class."""
        return self.settings["loss_name"] not in TRIPLETS_ALONE

    @property
    def needs_triplets(self):
        """Whether batches are mined triplets."""
        return "triplet_distance" in self.settings


def _margins(table2, m1=1.0, m2=0.0, m3=0.0, note="", **more):
    """Return a loss with normalised features and weights (Eq. 4)."""
    return Loss({"loss_name": "margin_softmax", "loss_s": 64.0, "loss_m1": m1, "loss_m2": m2, "loss_m3": m3, **more},
                table2, note)


# The original's; the batch is a device's. For how many devices the rate is meant, it does not say.
_TRIPLETS = {"triplet_bag_size": 7200, "images_per_identity": 5, "triplet_max_ap": 0.0, "triplet_weight": 1.0,
             "per_batch_size": 60, "lr": 0.05, "published_batch_size": None}

# The weights of Intra and Inter are those of Eq. 5 and Eq. 6, with ArcFace as well.
LOSSES = {
    "softmax": Loss({"loss_name": "softmax"}, "Softmax"),
    "nsoftmax": _margins("Norm-Softmax (NS)"),
    "arcface": _margins("ArcFace (0.5)", m2=0.5),
    "arcface-0.4": _margins("ArcFace (0.4)", m2=0.4),
    "arcface-0.45": _margins("ArcFace (0.45)", m2=0.45),
    "arcface-0.55": _margins("ArcFace (0.55)", m2=0.55),
    "cosface": _margins("CosFace (0.35)", m3=0.35),
    # Its authors' own row is of the same function, s·(cos θ − m) at s = 64 and m = 0.35. Theirs in the figure that
    # Table 2 quotes are the network and its training.
    "cosface-authors": _margins("CosFace [35]", m3=0.35),
    "sphereface": _margins("SphereFace (1.35)", m1=1.35),
    # As its authors train it: with annealing from softmax, and features that are not normalised.
    "sphereface-m4": Loss({"loss_name": "sphereface", "loss_m1": 4.0, "sphere_lambda_min": 5.0,
                           "sphere_lambda_start": 1000.0, "sphere_lambda_decay": 0.1}, "SphereFace [15]"),
    "combined": _margins(None, m2=0.3, m3=0.2, note="the original's name of cm1"),
    "cm1": _margins("CM1 (1, 0.3, 0.2)", m2=0.3, m3=0.2),
    "cm2": _margins("CM2 (0.9, 0.4, 0.15)", m1=0.9, m2=0.4, m3=0.15),
    "ns-intra": _margins("NS+Intra", intra_weight=1.0),
    "ns-inter": _margins("NS+Inter", inter_weight=1.0),
    "ns-intra-inter": _margins("NS+Intra+Inter", intra_weight=1.0, inter_weight=1.0),
    "triplet": Loss({"loss_name": "triplet", "triplet_distance": "euclidean", "triplet_alpha": 0.3, **_TRIPLETS},
                    note="Euclidean, as the original's; in no row"),
    "atriplet": Loss({"loss_name": "atriplet", "triplet_distance": "angular", "triplet_alpha": 0.35, **_TRIPLETS},
                     "Triplet (0.35)"),
    "arcface-intra": _margins("ArcFace+Intra", m2=0.5, intra_weight=1.0),
    "arcface-inter": _margins("ArcFace+Inter", m2=0.5, inter_weight=1.0),
    "arcface-intra-inter": _margins("ArcFace+Intra+Inter", m2=0.5, intra_weight=1.0, inter_weight=1.0),
    "arcface-triplet": _margins("ArcFace+Triplet", m2=0.5, triplet_distance="angular", triplet_alpha=0.35,
                                **_TRIPLETS),
}


def row_of(name):
    """Return what a loss is called in tables: its row of Table 2, or its own name."""
    return (LOSSES[name].table2 if name in LOSSES else None) or name


def loss_settings(config):
    """Return the settings that `recognition.losses.objective.training_symbol` takes."""
    names = ("loss_name", "loss_s", "loss_m1", "loss_m2", "loss_m3", "intra_weight", "inter_weight",
             "sphere_lambda_min", "sphere_lambda_start", "sphere_lambda_decay", "triplet_distance", "triplet_alpha",
             "triplet_weight", "trace_angles", "fc7_lr_mult", "fc7_wd_mult", "emb_size")
    return {name: config[name] for name in names if name in config}
