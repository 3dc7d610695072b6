"""What a log says, from the lines that a run's own parts print."""
from types import SimpleNamespace

import numpy as np
import pytest
from easydict import EasyDict

from eval.protocols.pairs import format_lines
from recognition.reporting.metrics import OriginalLine, print_plain_lines
from recognition.reporting.progress import TimeLeft
from recognition.training.schedule import rate_changes
from runtime import Failure
from tools.reporting import training_log


def printed(steps, frequent=10):
    """Let a run's parts print their lines for steps of a falling loss."""
    print_plain_lines()
    result = EasyDict(xnorm=11.5, accuracy=0.875, std=0.0125, flip=True, no_tar="none")
    parts = [OriginalLine(4, frequent), TimeLeft(4, 40, frequent), rate_changes(0.1, [20])]
    for step in steps:
        report = SimpleNamespace(step=step, epoch=0, batch=step, loss=100 / step, losses={"ce_loss": 100 / step},
                                 labels=np.arange(4), predictions=np.arange(4) * (step > 20))
        for part in parts:
            part(report)
        if step == 30:
            print("\n".join(format_lines("lfw", step, result)))


def test_the_course_is_what_the_parts_of_a_run_print(tmp_path, capfd):
    printed(range(1, 41))
    (tmp_path / "train.log").write_text(capfd.readouterr().out)
    course = training_log.read(tmp_path / "train.log")
    assert course.loss == {10: 10.0, 20: 5.0, 30: 3.3333, 40: 2.5} and set(course.speed) == {10, 20, 30, 40}
    assert list(course.accuracy) == [20, 30, 40]  # MXNet's Speedometer says nothing the first time
    assert course.accuracy[20] == 0.25  # without a prediction all are of class 0, and one of four labels is
    assert course.verified == {"lfw": {30: (0.875, 0.0125)}} and course.rates == {20: 0.01}


def test_a_resumed_run_says_steps_again(tmp_path):
    (tmp_path / "log").write_bytes(b"step 1 of 9: loss 7.0000, 1.0 images/s\r\nstep 2: loss nan, 1.0 images/s\n"
                                   b"step 1 of 9: loss 6.0000, 1.0 images/s\nstep \xff\n[\n" + b"x" * 3000)
    course = training_log.read(tmp_path / "log")
    assert course.loss[1] == 6.0 and np.isnan(course.loss[2]) and course.accuracy == {}


def test_no_log(tmp_path):
    with pytest.raises(Failure, match="missing: --log takes the lines"):
        training_log.read(tmp_path / "none")
