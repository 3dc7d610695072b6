"""How far a run is, and how long the rest will take."""
import time


def clock(seconds):
    """Return a duration as h:mm:ss."""
    minutes, seconds = divmod(int(seconds + 0.5), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


class TimeLeft:
    """Says how far a run is, its pace, and how long the rest takes at that pace.

    Parameters
    ----------
    batch_size : int
        Images a step.
    end : int
        The step at which the run ends; 0 where it has no end.
    frequent : int
        Steps between lines.
    """

    def __init__(self, batch_size, end, frequent):
        self.batch_size, self.end, self.frequent = batch_size, end, frequent
        self.busy, self.steps = 0.0, 0
        self.begun = time.perf_counter()

    def without(self, action):
        """Return a callable for reports that runs another with the clock stopped: verifying is no training."""
        def act(report):
            self.busy += time.perf_counter() - self.begun
            action(report)
            self.begun = time.perf_counter()
        return act

    def __call__(self, report):
        """Count a finished step, and print the line where it is due."""
        self.steps += 1
        if report.step % self.frequent and report.step != self.end:
            return
        each = (self.busy + time.perf_counter() - self.begun) / self.steps
        left = f", {clock((self.end - report.step) * each)} left" if self.end else ""
        of = f" of {self.end}" if self.end else ""
        pace = self.batch_size / each
        print(f"step {report.step}{of}: loss {report.loss:.4f}, {pace:.1f} images/s{left}", flush=True)
