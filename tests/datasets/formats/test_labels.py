"""Which labels are classes: the cases are listed by hand."""
import math

import numpy as np
import pytest

from datasets.formats import image_lists
from datasets.formats.labels import class_of, is_class, no_class
from runtime import Failure

CLASSES = [0, 1, 9, 2**24 - 1]
NONE = [-1, -0.5, 0.5, 9.5, 2**24, 1e30, math.inf, -math.inf, math.nan]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_whole_numbers_are_classes(kind):
    with np.errstate(all="raise"):
        assert is_class(np.array(CLASSES, kind)).all() and is_class(-0.0)
        assert not is_class(np.array(NONE, kind)).any()
        assert is_class(np.array([[0, 9], [10, -1]], kind), 10).tolist() == [[True, True], [False, False]]


@pytest.mark.parametrize("label, number", [(3, 3), (3.0, 3), (np.float32(3), 3), ([3, 0.5], 3),
                                           (np.array([0.0, -1]), 0)])
def test_the_class_of_a_label(label, number):
    found = class_of(label, "a.rec: image 1", 4)
    assert found == number and type(found) is int


@pytest.mark.parametrize("label", [*NONE, 4, [4, 0], np.array([np.nan, 1])])
def test_a_label_that_is_none(label):
    first = float(np.ravel(label)[0])
    with pytest.raises(Failure) as failure:
        class_of(label, "a.rec: image 1", 4)
    assert str(failure.value).startswith(
        f"a.rec: image 1 has the label {first:g}, which is not one of the classes 0 to 3; its `property` is wrong")
    assert "\n" not in str(failure.value)


def test_what_is_said_where_the_classes_are_not_known():
    assert no_class(-1.0, "x") == "x has the label -1, which is not one of the classes 0, 1, 2, …"
    assert no_class(7.0, "x", 3, "its identities") == "x has the label 7, which is not one of its identities 0 to 2"


def test_a_list_names_identities_by_any_whole_number(tmp_path):
    path = tmp_path / "a.lst"
    path.write_text(f"0\t{2**24 + 2}\ta.jpg\n")
    assert image_lists.read_list(path)[0].identity == 2**24 + 2
    for label in ("-1", "0.5"):
        path.write_text(f"0\t{label}\ta.jpg\n")
        with pytest.raises(Failure, match=f"a.lst: line 1 has the label {label}, which is not one of the classes 0, 1"):
            image_lists.read_list(path)
