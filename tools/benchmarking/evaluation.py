"""The benchmark's section "evaluation": the sizes that the paper's benchmarks come in, with drawn embeddings.

A part is a module with `pieces(threads, rounds)`, which gives (label, expected seconds, function that yields rows).
"""
from tools.benchmarking import evaluation_ijb, evaluation_scores, evaluation_video

PARTS = [
    evaluation_ijb,
    evaluation_scores,
    evaluation_video,
]


def pieces(threads, rounds):
    """Return the pieces of all parts."""
    return [piece for part in PARTS for piece in part.pieces(threads, rounds)]
