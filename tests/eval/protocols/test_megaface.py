"""MegaFace's protocol: the numbers that belong to the miniature, and brute force with ties."""
import hashlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.formats import opencv_matrix
from eval.protocols import megaface, megaface_files, noise_lists


@pytest.fixture(scope="module")
def reference(shared):
    return shared / "reference" / "protocols" / "megaface", json.loads(
        (shared / "reference" / "protocols" / "expected" / "megaface.json").read_text())


@pytest.fixture(scope="module")
def refined(reference):
    """Refined features of the lists by name, and the noise lists' masks."""
    root, _ = reference
    found = {}
    for kind in megaface_files.KINDS:
        _, listed = megaface_files.read_lst(root, kind)
        noise = noise_lists.read(root / "data" / f"{kind}_noises.txt", kind == "megaface")
        features = megaface_files.read_features(root / "feature_out", kind, listed.names, "arc")
        names = [name.split("/")[-1] for name in listed.names] if kind == "facescrub" else listed.names
        noisy = noise_lists.matched(noise, names, kind)
        if kind == "facescrub":
            features = noise_lists.probes(features, [name.split("/")[0] for name in listed.names], noisy, seed=0)
        else:
            features = np.column_stack([features, noise_lists.distractor_numbers(noisy)])
        found[kind] = dict(zip(listed.names, features)), [name for name, one in zip(listed.names, noisy) if one]
    return found


@pytest.mark.parametrize("kind, size", [("original", 10), ("original", 100), ("original", 260), ("refined", 10),
                                        ("refined", 100), ("refined", 260)])
def test_every_number_of_the_miniature(reference, refined, kind, size):
    root, expected = reference
    probes = megaface_files.read_template_list(root / "templatelists" / "facescrub_features_list.json", "facescrub")
    one, = megaface_files.distractor_sets(root, [size])
    names = {"facescrub": probes.names, "megaface": megaface_files.read_distractors(one).names}
    if kind == "refined":
        features = {part: np.stack([refined[part][0][name] for name in own]) for part, own in names.items()}
    else:
        features = {part: megaface_files.read_features(root / "feature_out", part, own, "arc")
                    for part, own in names.items()}
    pairs = megaface.genuine_pairs(features["facescrub"], probes.people)
    found = megaface.evaluate(features["facescrub"], pairs, features["megaface"], curves=size == 100)
    wanted = expected["brute force in float64"][kind][str(size)]
    assert len(pairs.scores) == wanted["genuine_ordered_pairs"]
    for ours, theirs in (("rank", "cmc_ties_for"), ("rank_strict", "cmc_ties_against")):
        assert {rank: found.values[ours][rank] for rank in wanted[theirs]} == wanted[theirs]
    for ours, theirs in (("tar_strict", "tar_strict"), ("tar", "tar_first_above")):
        assert {far: found.values[ours][f"{float(far):.0e}"] for far in wanted[theirs]} == wanted[theirs]
    if kind == "refined":
        peer = expected["from a peer (inner products, noise as zero vectors; rank 1, 2, 5, 10)"][str(size)]
        assert [found.values["rank"][rank] for rank in ("1", "2", "5", "10")] == peer


def test_refined_files_are_the_original_scripts(reference, refined, shared):
    _, expected = reference
    original = expected["from the original remove_noises.py"]
    for kind in megaface_files.KINDS:
        vectors, noisy = refined[kind]
        sums = {name: hashlib.sha256(opencv_matrix.vector_bytes(vectors[name])).hexdigest()
                for name in original[f"sha256_{kind}"]}
        assert sums == original[f"sha256_{kind}"]
        assert sorted(noisy) == sorted(original["noisy_probes" if kind == "facescrub" else "noisy_distractors"])
    stored = np.load(shared / "reference" / "protocols" / "expected" / "megaface.npz", allow_pickle=False)
    for name, without, drawn in zip(stored["noisy_probe_paths"], stored["noisy_probe_without_noise"],
                                    stored["noisy_probe_by_the_script_seed0"]):
        assert refined["facescrub"][0][name] == pytest.approx(without, abs=2e-3)
        assert refined["facescrub"][0][name] == pytest.approx(drawn, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10 ** 6), st.integers(1, 40), st.booleans())
def test_against_brute_force_with_ties(seed, distractors, curves):
    random = np.random.RandomState(seed)
    probes = random.randint(-1, 2, (12, 3)).astype(np.float32)
    others = random.randint(-1, 2, (distractors, 3)).astype(np.float32)
    people = [str(person) for person in random.randint(0, 5, 12)]
    fars = (0.3, 0.1, 1e-6)
    pairs = megaface.genuine_pairs(probes, people)
    found = megaface.evaluate(probes, pairs, others, fars, curves)
    apart = ((probes[:, None].astype(float) - others[None]) ** 2).sum(axis=2)
    trials = [(one, two) for one in range(12) for two in range(12) if one != two and people[one] == people[two]]
    assert sorted(zip(pairs.probes.tolist(), pairs.mates.tolist())) == trials
    mates = {trial: ((probes[trial[0]].astype(float) - probes[trial[1]]) ** 2).sum() for trial in trials}
    for rank in megaface.RANKS:
        nearer = [np.count_nonzero(apart[one] < mates[one, two]) < rank for one, two in trials]
        strict = [np.count_nonzero(apart[one] <= mates[one, two]) < rank for one, two in trials]
        assert found.values["rank"][str(rank)] == pytest.approx(np.mean(nearer), abs=1e-12)
        assert found.values["rank_strict"][str(rank)] == pytest.approx(np.mean(strict), abs=1e-12)
    thresholds = sorted({*apart.ravel().tolist(), *mates.values()})
    for far in fars:
        tar, above = 0.0, None
        for threshold in thresholds:  # accepted where the distance is at most this
            rate = np.mean(apart <= threshold)
            accepted = np.mean([distance <= threshold for distance in mates.values()])
            if rate <= far:
                tar = max(tar, accepted)
            elif above is None:
                above = accepted
        assert found.values["tar_strict"][f"{far:.0e}"] == pytest.approx(tar, abs=1e-12)
        assert found.values["tar"][f"{far:.0e}"] == pytest.approx(above, abs=1e-12)
    if curves:
        assert len(found.cmc) == distractors and found.cmc[:3] == [
            found.values["rank"][str(rank)] for rank in range(1, min(3, distractors) + 1)]


def test_protocols():
    assert [megaface.protocol_of(images) for images in (None, 494_414, 500_000)] == [None, "small", "large"]
