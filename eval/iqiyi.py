"""iQIYI-VID: MAP of the first 100 clips, from clips or embeddings, then with trained classifiers (Sec. 3.3, Table 9).

    python eval/iqiyi.py --root IQIYI --embeddings clips.npz --json iqiyi.json
    python eval/iqiyi.py --root IQIYI --embeddings clips.npz --networks 6 --context context.npz
    python eval/iqiyi.py --root IQIYI --model models/r100-arcface-glint/model,1 --align --every 5

IQIYI holds train_gt.txt and test_gt.txt: a line an identity, its number and its clips. The first command ranks the test
clips for each identity by the cosine with the identity's centre. The second also trains six classifiers with three
layers on the training clips, ranks by one and by the sum of all, and ranks clips without a face by context features.
The third embeds the clips: CLIP.mp4 or CLIP/*.jpg, in IQIYI or in its folders clips, IQIYI_VID_TRAIN, IQIYI_VID_TEST.
clips.npz holds `embeddings` of all frames, `counts` of frames and `names` of clips; context.npz the same of features
other than faces, where `counts` may be missing if a clip has one row. What is trained and embedded is kept in a folder.
If the command is killed, the same command resumes.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse
import contextlib
import hashlib

import numpy as np

from datasets.faces.reader import Reader
from datasets.formats.frame_embeddings import FrameEmbeddings
from eval.measures import retrieval
from eval.networks import clip_classifier
from eval.networks.engines.choice import device_of
from eval.networks.flags import add_network_flags, network_of
from eval.protocols import iqiyi, iqiyi_files, video_templates, videos
from eval.reporting import results
from eval.reporting.paper_numbers import paper
from runtime import ROOT, Failure, run_command, shown
from runtime.devices import parse_context
from runtime.files import check_folder_of, find_under
from runtime.flags import number, positive
from runtime.locks import alone

STAGES = {"map": "MS1MV2+Asian, R100, ArcFace", "map_mlp": "+ MLP", "map_ensemble": "+ Ensemble",
          "map_context": "+ Context"}  # values, and the rows of Table 9
NEEDED = {"map_mlp": "no classifier was trained: give --networks", "map_ensemble": "an ensemble takes --networks of 2 "
          "or more", "map_context": "there are no context features: give --context and --networks"}
VIDEO_FRAMES = 64  # about how many pictures a video file counts for


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, metavar="DIR", help="the folder of the ground truths and the clips")
    parser.add_argument("--embeddings", metavar="CLIPS.npz", help="ready-made embeddings of the frames, in place of a "
                        "network; also a name in DIR")
    add_network_flags(parser)
    parser.add_argument("--align", action="store_true", help="frames are whole pictures: find and align their faces")
    parser.add_argument("--every", type=positive, default=1, help="of so many frames of a video file, use one "
                        "(default: %(default)s)")
    parser.add_argument("--networks", type=number, default=0, help="classifiers to train, of the seeds SEED, SEED + 1, "
                        "… (default: %(default)s)")
    parser.add_argument("--context", metavar="FILE.npz", help="features of clips, for those without a face")
    parser.add_argument("--epochs", type=positive, default=40, help="of a classifier (default: %(default)s)")
    parser.add_argument("--seed", type=number, default=0, help="default: %(default)s")
    parser.add_argument("--output", metavar="FOLDER", help="where templates and classifiers are kept (default: beside "
                        "the checkpoint, evaluations/iqiyi-NNNN, or under models/results)")
    parser.add_argument("--submission", metavar="FILE", help="write the ranking of the last stage in the form of the "
                        "ground truth")
    parser.add_argument("--json", metavar="OUT", help="write the result to this file, too")
    options = parser.parse_args(arguments)
    if (options.embeddings is None) == (options.model is None):
        parser.error("give either --model or --embeddings")
    if options.embeddings and options.align:
        parser.error("--align is for frames, and --embeddings are there already")
    if options.context and not options.networks:
        parser.error("--context takes classifiers: give --networks, too")
    try:
        if options.model:
            device_of(options.ctx, options.engine)
        options.device = parse_context(options.ctx)[0]
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    return options


def folder_of(options):
    """Return the folder where templates and classifiers are kept."""
    if options.output:
        return options.output
    if options.model:
        prefix, epoch = options.model
        return os.path.join(os.path.dirname(os.path.abspath(prefix)), results.FOLDER, f"iqiyi-{epoch:04d}")
    name = hashlib.sha256(os.fsencode(os.path.abspath(find_under(options.embeddings, options.root)))).hexdigest()
    return os.path.join(ROOT, "models", "results", f"iqiyi-{name[:8]}")


def from_embeddings(path, root, train, test, one_each=False):
    """Return (names, templates, file) of a file's clips that are for training or for the test and have frames."""
    file = FrameEmbeddings(find_under(path, root), "names", one_each)
    names = file.names.tolist()
    iqiyi.check_names(names, train, test, file.path)
    templates = video_templates.of_file(file, progress=True)
    listed, tested = iqiyi.clips_of(train), iqiyi.clips_of(test)
    used = [row for row, name in enumerate(names)
            if file.counts[row] and (name in listed or iqiyi.is_test(name, listed, tested))]
    if len(used) < len(names):
        templates = templates[used]
    return [names[row] for row in used], templates, file


def from_clips(options, train, test, network, folder):
    """Return (names, templates) of the clips under --root that show a face."""
    listed, tested = iqiyi.clips_of(train), iqiyi.clips_of(test)
    clips = {name: paths for name, paths in iqiyi_files.clips_in(options.root, sorted(listed | tested)).items()
             if name in listed or iqiyi.is_test(name, listed, tested)}
    iqiyi.check_names(list(clips), train, test, options.root)
    reader = Reader(network.embedder.image_shape[1], not options.align, "align it (--align)")
    pictures, video = videos.face_frames(reader, options.root), videos.face_video(reader, options.every)

    def is_video(paths):
        return paths[0].lower().endswith(iqiyi_files.VIDEO)
    source = videos.Videos(options.root, list(clips), list(clips.values()),
                           lambda paths: video(paths) if is_video(paths) else pictures(paths), network.embedder,
                           f"folder of {'clips' if options.align else 'aligned clips'}, every {options.every}",
                           [VIDEO_FRAMES if is_video(paths) else len(paths) for paths in clips.values()])
    return videos.kept(videos.store_name(os.path.join(folder, "templates"), network, source), network, source,
                       progress=True)


class Stage:
    """What clips are ranked by, and how well: prints a line and keeps the average precisions."""

    def __init__(self, train, test, usable):
        self.identities, self.test, self.usable = list(train), test, usable
        self.values, self.rankings, self.precisions = {}, None, None

    def __call__(self, name, clips, score):
        """Rank clips by a score (`eval.protocols.iqiyi.rank`)."""
        self.rankings = iqiyi.rank(self.identities, clips, score, self.usable, progress=True)
        found = retrieval.average_precisions(self.rankings, self.test)
        self.precisions = self.precisions or found
        self.values[name] = retrieval.mean(found)
        row = STAGES[name]
        print(f"[iqiyi]{row if row.startswith('+') else 'ArcFace'}: MAP {self.values[name]:1.5f} "
              f"(paper: {paper('table9')['rows'][row][0]:.2f} %)", flush=True)


def trained(options, templates, train, names, folder, kind, seeds):
    """Return the classifiers of some seeds, trained on the training clips."""
    rows, owners = iqiyi.training_rows(train, names)
    return [clip_classifier.train(templates[rows].astype(np.float32), owners + 1, len(train) + 1,
                                  clip_classifier.Settings(epochs=options.epochs, seed=seed),
                                  os.path.join(folder, f"{kind}-{seed}"), options.device, progress=True)
            for seed in seeds]


def outputs(classifiers, features):
    """Return the mean softmax outputs of classifiers without class 0: float64 array, shape (identities, n)."""
    return np.mean([one.probabilities(features) for one in classifiers], axis=0, dtype=np.float64)[:, 1:].T


def classify(options, stage, names, templates, ranked, train, test, folder):
    """Carry out the stages that train classifiers."""
    if options.context:  # read before the classifiers are trained, because the features may be damaged
        context_names, features, _ = from_embeddings(options.context, options.root, train, test, one_each=True)
    classifiers = trained(options, templates, train, names, folder, "network",
                          range(options.seed, options.seed + options.networks))
    clips = [names[row] for row in ranked.tolist()]
    stage("map_mlp", clips, lambda places: outputs(classifiers[:1], templates[ranked[places]]))
    if len(classifiers) > 1:
        stage("map_ensemble", clips, lambda places: outputs(classifiers, templates[ranked[places]]))
    if not options.context:
        return
    context = trained(options, features, train, context_names, folder, "context", [options.seed])
    listed, tested, faces = iqiyi.clips_of(train), iqiyi.clips_of(test), set(names)
    others = np.array([row for row, name in enumerate(context_names)
                       if name not in faces and iqiyi.is_test(name, listed, tested)], np.int64)
    print(f"[iqiyi]{len(others)} test clips without a face have context features")

    def score(places):
        known = places < len(ranked)
        found = np.empty((len(train), len(places)))
        found[:, known] = outputs(classifiers, templates[ranked[places[known]]])
        found[:, ~known] = outputs(context, features[others[places[~known] - len(ranked)]])
        return found
    stage("map_context", clips + [context_names[row] for row in others.tolist()], score)


def main(arguments=None):
    """Evaluate a network or embeddings on iQIYI-VID."""
    options = parse_arguments(arguments)
    check_folder_of(options.json, "--json")
    check_folder_of(options.submission, "--submission")
    if not os.path.isdir(options.root):
        raise Failure(f"{options.root} is no folder: name the one that holds {iqiyi_files.TRAIN} and "
                      f"{iqiyi_files.TEST}")
    train_path, test_path = (os.path.join(options.root, name) for name in (iqiyi_files.TRAIN, iqiyi_files.TEST))
    train, test = iqiyi_files.read_truth(train_path), iqiyi_files.read_truth(test_path)
    for path in filter(None, (options.embeddings, options.context)):  # before long work
        file = FrameEmbeddings(find_under(path, options.root), "names", path == options.context)
        iqiyi.check_names(file.names.tolist(), train, test, file.path)
    network = network_of(options) if options.model else None
    folder = folder_of(options)
    with alone(folder, "name another one with --output") if network or options.networks else contextlib.nullcontext():
        evaluate(options, train, test, network, folder, (train_path, test_path))


def evaluate(options, train, test, network, folder, paths):
    """Carry out all stages and write what comes of them."""
    if network:
        names, templates = from_clips(options, train, test, network, folder)
        about = {"clips_folder": os.path.abspath(options.root), "aligned_here": options.align, "every": options.every}
    else:
        names, templates, file = from_embeddings(options.embeddings, options.root, train, test)
        about = {"embeddings": os.path.abspath(file.path), "frames": file.frames}
    listed, tested = iqiyi.clips_of(train), iqiyi.clips_of(test)
    ranked = np.array([row for row, name in enumerate(names) if iqiyi.is_test(name, listed, tested)], np.int64)
    rows, owners = iqiyi.training_rows(train, names)
    if not len(rows) or not len(ranked):
        raise Failure(f"{options.root}: no clip for {'the test' if len(rows) else 'training'} has a usable frame")
    centres = iqiyi.centres(templates, rows, owners, len(train))
    usable = np.linalg.norm(centres, axis=1) > 0
    there = {names[row] for row in ranked.tolist()}
    print(f"[iqiyi]{len(test)} identities in {shown(paths[1])}, {int(usable.sum())} of {len(train)} identities with a "
          f"training clip; {len(there)} test clips are ranked, {len(tested - there)} of {len(tested)} in the ground "
          "truth have no face", flush=True)
    stage = Stage(train, test, usable)
    stage("map", [names[row] for row in ranked.tolist()], iqiyi.Cosines(centres, templates, ranked))
    if options.networks:
        classify(options, stage, names, templates, ranked, train, test, folder)
    if options.submission:
        iqiyi_files.write_submission(options.submission, stage.rankings)
    empty = [identity for identity, clips in test.items() if not clips]
    note = f"{len(empty)} identities of the ground truth have no clip, and count 0" if empty else None
    if note:
        print(f"[iqiyi]note: {note}", file=sys.stderr, flush=True)
    values = {**dict.fromkeys(STAGES), **stage.values, "queries": len(test), "ap": stage.precisions}
    data = {**results.data_of(paths[1], 0), "train": results.data_of(paths[0], 0), **about, "test_clips": len(there),
            "test_clips_without_face": len(tested - there)}
    for part in (data, data["train"]):
        del part["pairs"]
    evaluation = results.of_benchmark(
        {"name": "clips", "depth": retrieval.DEPTH, "networks": options.networks, "epochs": options.epochs,
         "seed": options.seed, "context": options.context and os.path.basename(options.context)}, values, data,
        network and network.checkpoint, False if network else None, network and network.engine,
        {name: reason for name, reason in NEEDED.items() if name not in stage.values}, note)
    if network:
        results.keep(network.prefix, "iqiyi", evaluation)
    if options.json:
        results.write_object(options.json, "iqiyi", evaluation)


if __name__ == "__main__":
    run_command(main)
