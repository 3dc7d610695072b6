"""The best verification so far, and whether and under which epoch to save."""


class Best:
    """The best verification so far, and whether and under which number to save.

    Best is the highest accuracy on the last verification set; on a tie, the highest sum over all.

    Parameters
    ----------
    policy : int
        --ckpt: 0 never saves; 1 saves at a new best; 2 at each verification; 3 at a new best, always as epoch 1.
    """

    def __init__(self, policy):
        self.policy = policy
        self.last, self.total, self.count = 0.0, 0.0, 0

    def epoch_to_save(self, accuracies, final=False):
        """Take a verification's accuracies; return the epoch to save under, or None.

        The `final` step is saved as well. Under policy 3, where it is not the best, it is epoch 2, so that
        the best is kept. Without verification sets there is no best, and each occasion counts as one.
        """
        self.count += 1
        last, total = (accuracies[-1], sum(accuracies)) if accuracies else (self.last, self.total)
        best = (last, total) >= (self.last, self.total)
        if best:
            self.last, self.total = last, total
        if self.policy == 0:
            return None
        if self.policy == 3:
            return 1 if best else 2 if final else None
        return self.count if best or final or self.policy == 2 else None

    def state(self):
        """Return what resuming needs, as plain values."""
        return {"last": self.last, "total": self.total, "count": self.count}

    def restore(self, state):
        self.last, self.total, self.count = state["last"], state["total"], state["count"]
