"""What a check finds: printed a line each, counted, and judged."""
import collections
import time

from runtime import shown


class Findings:
    """Lines on stdout, of each kind no more than `most`, and how many there were.

    An *error* stops training or verification, or makes it use other data than the file says; a *warning* does not.

    Parameters
    ----------
    most : int
        Lines of a kind that are printed; 0 for all.
    """

    def __init__(self, most=10):
        self.most = most
        self.counts = {"error": collections.Counter(), "warning": collections.Counter()}
        self.begun = time.monotonic()

    def error(self, kind, text):
        """Print an error: `kind` is what is wrong in two words, `text` where it is and what to do."""
        self._add("error", kind, text)

    def warning(self, kind, text):
        """Print a warning, likewise."""
        self._add("warning", kind, text)

    def note(self, text):
        """Print what is neither."""
        print(shown(text), flush=True)

    def _add(self, severity, kind, text):
        self.counts[severity][kind] += 1
        if not self.most or self.counts[severity][kind] <= self.most:
            print(shown(f"{severity}: {text}"), flush=True)

    @property
    def errors(self):
        """The number of errors."""
        return sum(self.counts["error"].values())

    def close(self, what):
        """Print how many lines were left out, and the summary: `what` the file is, and the counts."""
        for severity, counts in self.counts.items():
            for kind, count in counts.items():
                if self.most and count > self.most:
                    print(f"{severity}: {kind}: {count - self.most} more, which --most 0 shows")
        errors, warnings = (sum(counts.values()) for counts in self.counts.values())
        print(shown(f"{what}: {errors} errors, {warnings} warnings, {time.monotonic() - self.begun:.1f} s"), flush=True)
