"""The training data of a run: the iterator that its loss takes."""
from recognition.config.losses import LOSSES
from recognition.data.images import train_iterator
from recognition.data.triplets import TripletIterator


def open_batches(config, devices, part=0, parts=1, embed=None):
    """Return the iterator over a worker's training data: of images, or of triplets where the loss needs them.

    Parameters
    ----------
    config : EasyDict
        A settled configuration.
    devices : int
        Devices of this worker.
    part, parts : int
        This worker, and the number of workers.
    embed : callable or None
        Embeds images with the network as it is, to mine triplets (`recognition.data.triplets`).
    """
    common = {"classes": config.num_classes, "mirror": config.mirror, "seed": config.seed,
              "num_workers": config.num_workers, "augmentation": config.augmentation, "part": part, "parts": parts}
    batch_size = config.batch_size // parts
    if not LOSSES[config.loss].needs_triplets:
        return train_iterator(config.dataset_path, batch_size, **common)
    return TripletIterator(config.dataset_path, batch_size, devices, embed=embed, alpha=config.triplet_alpha,
                           max_ap=config.triplet_max_ap, bag_size=config.triplet_bag_size,
                           images_per_identity=config.images_per_identity, **common)
