"""Ctrl-C and the terminate signal, seen between two steps."""
import signal

from runtime import Failure


class Interrupts:
    """Turns Ctrl-C and the terminate signal into a flag that the loop sees between two steps."""

    def __enter__(self):
        self.arrived = None
        self.before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _note(self, number, frame):
        if self.arrived is not None:  # asked twice: at once
            raise KeyboardInterrupt
        self.arrived = signal.Signals(number).name

    def __exit__(self, *exception):
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def stop(self, report):
        """End the run after a step at which that is due; its state is saved by then."""
        if "stop" in report.due:
            raise Failure(f"stopped by {self.arrived} after step {report.step}; the same command with --resume "
                          "goes on")
