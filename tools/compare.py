"""Compare the faces of two photographs.

    python tools/compare.py A.jpg B.jpg --model models/r100-arcface-emore/model,1
    python tools/compare.py A.jpg B.jpg --model ../y1/model,0 --calibration y1-threshold.json --picture both.png

Faces are found and aligned first. Same or different is said at the threshold that `eval/verification.py --calibrate`
measured for this checkpoint, at the false accept rate that was asked for there.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import math

import cv2
import numpy as np

from datasets.formats import images
from eval.measures.pairs import distances
from eval.networks.flags import network_of
from eval.networks.recogniser import Recogniser, add_flags
from eval.reporting import calibration
from eval.reporting.calibration import how_to_calibrate, threshold_of
from runtime import run_command
from runtime.files import whole_file

CAPTION, ZOOM = 24, 2  # pixels below the faces; how much larger than 112×112 they are drawn


def draw(path, faces, text):
    """Write a PNG of two aligned faces side by side, with a line of text below."""
    both = np.concatenate(faces, axis=1).repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)
    both = np.pad(both, ((0, CAPTION), (0, 0), (0, 0)), constant_values=255)
    cv2.putText(both, text, (6, len(both) - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    with whole_file(path) as file:
        file.write(images.encode(both, None))


def compare(first, second):
    """Return (cosine, angle in degrees, squared distance) of two embeddings, shapes (D,)."""
    squared = float(distances(first[None], second[None])[0])
    cosine = 1 - squared / 2
    return cosine, math.degrees(math.acos(min(1.0, max(-1.0, cosine)))), squared


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", metavar="A.jpg")
    parser.add_argument("second", metavar="B.jpg")
    add_flags(parser)
    parser.add_argument("--calibration", metavar="FILE", help="the threshold (default: that beside the checkpoint)")
    parser.add_argument("--no-flip", action="store_true", help="a single crop of each face, as in the paper")
    parser.add_argument("--picture", metavar="OUT.png", help="draw both aligned faces")
    options = parser.parse_args(arguments)
    recogniser = Recogniser(network_of(options, few=True), not options.no_flip, options.aligned)
    threshold = threshold_of(recogniser, options.calibration)
    faces = np.stack([recogniser.face(path) for path in (options.first, options.second)])
    cosine, angle, squared = compare(*recogniser(faces))
    print(f"cosine similarity {cosine:.4f}, angle {angle:.1f} degrees, squared distance {squared:.4f}")
    verdict = ""
    if threshold is None:
        print(how_to_calibrate(recogniser))
    else:
        verdict = "same person" if squared < threshold["squared_distance"] else "different people"
        print(f"{verdict}: the threshold is a cosine of {threshold['cosine']:.4f}, for a "
              f"{calibration.describe(threshold)}")
    if options.picture:
        draw(options.picture, faces, f"cosine {cosine:.3f}" + (f", {verdict}" if verdict else ""))
        print(f"both aligned faces: {options.picture}")


if __name__ == "__main__":
    run_command(main)
