"""A network whose embeddings are stored as they are: benchmarks that weigh images by their norms need these."""


class Raw:
    """A network as `eval.networks.store.write` takes one.

    Parameters
    ----------
    network
        As `eval.networks.flags.network_of` gives it.
    flip : bool
        Whether an embedding is the sum of the outputs for the image and its mirror image.
    """

    def __init__(self, network, flip):
        self.network, self.flip = network, flip
        self.prefix, self.epoch, self.fingerprint = network.prefix, network.epoch, network.fingerprint
        self.embedder, self.engine = network.embedder, network.embedder.engine

    def __call__(self, faces):
        """Embed faces: float32 array, shape (N, D), not normalised; raises Failure where that is not finite."""
        return self.embedder.embed(faces, self.flip, self.network.name)
