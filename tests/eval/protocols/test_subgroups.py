"""Attributes of images, and results by subgroup against loops over the pairs."""
import numpy as np
import pytest

from eval.measures import uncertainty
from eval.protocols import subgroups
from runtime import Failure

PEOPLE = np.array([0, 0, 1, 2, 3, 3, 1, 0])


def attributes_of(tmp_path, content, people=PEOPLE):
    (tmp_path / "a.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    return subgroups.read_attributes(str(tmp_path / "a.csv"), people)


def test_attributes_of_images_and_of_identities(tmp_path):
    assert attributes_of(tmp_path, "image,attribute\n0,old\n3, over 60, or so \n\n") == [
        "old", None, None, "over 60, or so", None, None, None, None]
    assert attributes_of(tmp_path, "0,old\r\n7,young\r\n") == ["old", *[None] * 6, "young"]  # without a heading: images
    assert attributes_of(tmp_path, "\ufeffIdentity,Attribute\n0,é\n1,x\n1,x\n") == [
        "é", "é", "x", None, None, None, "x", "é"]


@pytest.mark.parametrize(("content", "said"), [
    ("", "has no attributes"), ("image,attribute\n", "has no attributes"), ("image,attribute\nx,old\n", "line 2"),
    ("0\n", "line 1"), ("0,\n", "line 1"), ("-1,old\n", "line 1"), ("8,old\n", "image 8, where .* from 0 to 7"),
    ("identity,attribute\n4,old\n", "identity 4, where .* from 0 to 3"), ("0,a\n0,b\n", "image 0 a second attribute"),
    ("9" * 5000 + ",a\n", "line 1"), (b"0,\xff\n", "UTF-8"), ("George,old\n", "an image is a number"),
    ("0,a\n1,b\n2,a / b\n", "line 3 has an attribute with ' / '")])  # else its pairs would replace those of a and b
def test_other_files_are_refused_in_a_line(tmp_path, content, said):
    with pytest.raises(Failure, match=f"a.csv.*{said}") as caught:
        attributes_of(tmp_path, content)
    assert len(str(caught.value).splitlines()) == 1


def test_too_many_groups_and_a_missing_file(tmp_path):
    with pytest.raises(Failure, match="more than 50 different attributes"):
        attributes_of(tmp_path, "".join(f"{one},{one}\n" for one in range(60)), np.arange(60))
    with pytest.raises(Failure, match="missing"):
        subgroups.read_attributes(str(tmp_path / "none.csv"), PEOPLE)


def test_groups_are_of_one_attribute_or_two():
    groups = subgroups.groups_of(["b", "b", "b", "a", None, "a", "a", "b", "a", "a"])
    assert {name: pairs.tolist() for name, pairs in groups.items()} == {"a": [4], "b": [0], "a / b": [1, 3]}
    assert list(groups) == ["a", "b", "a / b"]


def test_results_of_groups_are_those_of_a_loop():
    random = np.random.RandomState(0)
    ends = random.randint(0, 12, (300, 2))
    issame = ends[:, 0] == ends[:, 1]
    issame[::2], ends[::2, 1] = True, ends[::2, 0]
    right = random.rand(300) < 0.9
    names = ["ab"[person % 2] for person in ends.ravel()]
    groups = subgroups.groups_of(names)
    found = subgroups.of_groups(groups, right, issame, ends)
    assert sum(one["pairs"] for one in found.values()) == 300 and set(found) == {"a", "b", "a / b"}
    for name, one in found.items():
        pairs = [pair for pair in range(300) if name == " / ".join(sorted({*names[2 * pair:2 * pair + 2]}))]
        called = [right[pair] == issame[pair] for pair in pairs]
        assert one["pairs"] == len(pairs) and one["genuine"] + one["impostors"] == len(pairs)
        assert one["accuracy"] == pytest.approx(sum(right[pair] for pair in pairs) / len(pairs))
        for rate, kind in (("tar", True), ("far", False)):
            own = [same for pair, same in zip(pairs, called) if issame[pair] == kind]
            assert one[rate] == (pytest.approx(np.mean(own)) if own else None)
        interval = uncertainty.accuracy_interval(right[pairs], ends=ends[pairs])
        assert one["interval"] == [interval.low, interval.high] and one["unit"] == "identity"
    assert found["a / b"]["tar"] is None and found["a / b"]["genuine"] == 0


def test_a_group_too_small_for_an_interval_says_so():
    one = subgroups.of_groups({"a": np.array([0, 1])}, np.array([True, False]), np.array([True, True]),
                              np.zeros((2, 2), int))["a"]
    assert one["interval"] is None and one["reason"] == "fewer than two identities"
