"""IJB's numbers: those of the original's scripts and of the brute force in the reference material, all settings."""
import json

import numpy as np
import pytest

from eval.measures import identification, rates
from eval.protocols import ijb, ijb_files, ijb_templates
from eval.protocols.ijb_files import Subjects

SETTINGS = [ijb.Switches(*switches) for switches in np.ndindex(2, 2, 2)]


class Target:
    """A miniature of the reference material with what is expected of it."""

    def __init__(self, folder, name):
        self.paths = ijb_files.layout(folder / name, name)
        self.images = ijb_files.read_images(self.paths)
        templates = np.unique(self.images.templates)
        self.pairs = ijb_files.read_pairs(self.paths.pairs, templates)
        self.galleries = [ijb_files.read_subjects(path, templates) for path in self.paths.galleries]
        self.probes = ijb_files.read_subjects(self.paths.probes, templates)
        self.halves = np.split(np.load(folder / name / "embeddings.npy"), 2, axis=1)
        expected = json.loads((folder / "expected" / f"{name}.json").read_text())
        self.scripts, self.brute_force = expected["from the original scripts"], expected["brute force in float64"]
        self.arrays = np.load(folder / "expected" / f"{name}.npz")

    def templates(self, switches):
        return ijb_templates.embed_templates(self.images, self.halves[0], self.halves[1] if switches.flip else None,
                                             switches.keep_norms, switches.detector_score, rows=500)

    def values(self, switches):
        return ijb.evaluate(self.images, self.pairs, self.galleries, self.probes, self.halves[0],
                            self.halves[1] if switches.flip else None, switches)


@pytest.fixture(scope="module", params=["IJBB", "IJBC"])
def target(request, shared):
    return Target(shared / "reference" / "protocols", request.param)


def in_order(by_key):
    return list(by_key.values())


@pytest.mark.parametrize("switches", SETTINGS, ids=lambda switches: switches.name)
def test_every_number_of_the_reference(target, switches):
    values, reasons = target.values(switches)
    assert not reasons
    script = target.scripts["ijb_11.py"][switches.name]
    assert list(values["tar"]) == ["1e-06", "1e-05", "1e-04", "1e-03", "1e-02", "1e-01"]
    assert in_order(values["tar"]) == script["tar"]
    assert in_order(values["far"]) == script["far_of_the_point"]
    assert [round(100 * tar, 2) for tar in in_order(values["tar"])] == script["printed_percent"]
    assert values["auc"] == pytest.approx(script["auc"], abs=1e-12)

    script = target.scripts["ijb_1n.py"][switches.name]
    found = values["one_gallery"]
    assert (found["probes"], found["gallery"]) == (script["probes"], script["gallery"])
    assert found["rank"] == {"1": script["top1"], "5": script["top5"], "10": script["top10"]}
    for rate, key in (("far=0.01", "1e-02"), ("far=0.1", "1e-01")):
        assert found["tpir"][key] == pytest.approx(script[rate]["pr"], abs=1e-9)
        assert found["threshold"][key] == pytest.approx(script[rate]["threshold"], abs=1e-9)

    # The newer script names N the other way round.
    newer = switches._replace(keep_norms=not switches.keep_norms).name
    assert in_order(values["tar"]) == target.scripts["ijb_evals.py"]["1:1"][newer]["tar"]
    assert values["auc"] == pytest.approx(target.scripts["ijb_evals.py"]["1:1"][newer]["auc"], abs=1e-12)
    script = target.scripts["ijb_evals.py"]["1:N"][newer]
    found = values["mean_of_two"]
    brute = target.brute_force[switches.name]
    assert found["probes"] == script["probes"] and in_order(found["rank"]) == script["mean_top"]
    assert in_order(found["tpir"]) == script["mean_tpir_at_001_01"]
    for number, part in enumerate(found["galleries"]):
        assert in_order(part["hits"]) == script[f"top_counts_gallery_{number + 1}"]
        assert part["mated"] == script["mated_probes"][number]
        assert in_order(part["tpir"]) == script["tpir_at_001_01"][number]
        # That script normalises images by another routine, whose float32 rounding differs.
        assert in_order(part["threshold"]) == pytest.approx(script["thresholds_at_001_01"][number], abs=1e-7)
        assert in_order(part["tpir_strict"]) == brute["tpir_strict_at_001_01_per_gallery"][number]
        assert [part["mated"], found["probes"] - part["mated"]] == brute["mated_and_unmated_probes"][number]
    assert in_order(values["tar_strict"]) == brute["tar_strict"]


@pytest.mark.parametrize("switches", SETTINGS, ids=lambda switches: switches.name)
def test_templates_and_scores(target, switches):
    numbers, templates = target.templates(switches)
    scores = ijb_templates.pair_scores(templates, target.pairs.first, target.pairs.second)
    curve = rates.roc(scores, target.pairs.issame, drop_collinear=False)
    first_above = [curve.tar[np.argmax(curve.far > far)] for far in ijb.FARS]
    assert first_above == target.brute_force[switches.name]["tar_first_above"]
    if f"scores_{switches.name}" in target.arrays:
        np.testing.assert_array_equal(numbers, target.arrays["template_ids"])
        np.testing.assert_allclose(templates, target.arrays[f"templates_{switches.name}"], atol=1e-7)
        np.testing.assert_allclose(scores, target.arrays[f"scores_{switches.name}"], atol=1e-7)


def test_the_table_of_the_newer_script(target):
    """It prints five rates, the last two of which are a little above 0.01 and 0.1."""
    table = target.scripts["ijb_evals.py"]["1:N as its table prints (N0D1F1)"]
    exact = [float.fromhex(rate) for rate in target.scripts["ijb_evals.py"]["far values of the table"]]
    numbers, templates = target.templates(ijb.Switches(True, True, True))
    for fpirs in ([1e-4, 1e-3, 1e-2, 1e-1, 1.0], [1e-4, 1e-3, *exact, 1.0]):
        values, _ = ijb.identify(numbers, templates, target.galleries, target.probes, fpirs)
        assert in_order(values["mean_of_two"]["tpir"]) == pytest.approx(in_order(table), abs=1e-12)


# Where the original's scripts would stop: four templates, one a subject, and probes of some of them.
GALLERIES = [Subjects(np.array([1, 2]), np.array([10, 20]), ""), Subjects(np.array([3, 4]), np.array([30, 40]), "")]


def identify(probe_subjects, galleries=GALLERIES):
    numbers = np.arange(1, 9)
    templates = np.random.RandomState(0).randn(8, 16)
    templates /= np.linalg.norm(templates, axis=1, keepdims=True)
    probes = Subjects(np.arange(5, 5 + len(probe_subjects)), np.array(probe_subjects), "")
    return ijb.identify(numbers, templates, galleries, probes)


def test_nothing_stops():
    values, reasons = identify([10, 20, 30, 40])
    assert not reasons and values["one_gallery"]["gallery"] == 4 and values["mean_of_two"]["probes"] == 4


def test_a_probe_without_a_mate_stops_one_protocol():
    values, reasons = identify([10, 20, 30, 50])
    assert values["one_gallery"] is None and "subject 50 with 0" in reasons["one_gallery"]
    assert values["mean_of_two"] is not None and "mean_of_two" not in reasons


def test_a_probe_with_two_mates_stops_one_protocol():
    galleries = [GALLERIES[0], Subjects(np.array([3, 4]), np.array([10, 40]), "")]
    values, reasons = identify([10, 20, 40, 40], galleries)
    assert values["one_gallery"] is None and "subject 10 with 2" in reasons["one_gallery"]
    assert values["mean_of_two"]["galleries"][1]["mated"] == 3


@pytest.mark.parametrize(("probes", "galleries", "reason"), [
    ([10, 20, 10], GALLERIES, "every probe has a mate in gallery 1"),
    ([30, 40, 30], GALLERIES, "no probe has a mate in gallery 1"),
    ([10, 20, 30], [Subjects(np.array([1, 2, 4]), np.array([10, 10, 20]), ""), GALLERIES[1]],
     "some probes have 1 mate and others 2 in gallery 1"),
    ([10, 10, 30], [Subjects(np.array([1]), np.array([10]), ""), GALLERIES[1]],
     "gallery 1 has no other subject than the probes'"),
])
def test_what_stops_the_other_protocol(probes, galleries, reason):
    values, reasons = identify(probes, galleries)
    assert values["mean_of_two"] is None and reasons["mean_of_two"].startswith(reason)


def test_pairs_of_one_kind_have_no_rates():
    values = ijb.verification(np.array([0.5, 0.2]), np.array([True, True]))
    assert np.isnan(values["auc"]) and np.isnan(in_order(values["tar"])).all() and values["roc"] is None


def test_too_few_scores_for_the_rate():
    values, reason = ijb.one_gallery(np.ones((3, 1)), np.ones((1, 1)), np.array([7, 7, 7]), np.array([7]))
    assert values is None and "takes 1 scores of two subjects" in reason
    assert identification.kept(250, ijb.FPIRS) == 25
