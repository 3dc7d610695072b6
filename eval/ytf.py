"""YouTube Faces: k-fold accuracy of pairs of videos, from frames or from their embeddings (Sec. 3.3, Table 4).

    python eval/ytf.py --root YTF --model models/r100-arcface-emore/model,1
    python eval/ytf.py --root YTF --model ../y1/model,0 --align --splits splits_corrected.txt
    python eval/ytf.py --root YTF --embeddings frames.npz --json ytf.json

YTF holds the list of pairs, splits.txt, and frames as aligned_images_DB/PERSON/NUMBER/*.jpg (taken first) or
frame_images_DB/PERSON/NUMBER/*.jpg (taken first with --align). Without --align, frames have to be aligned faces of the
network's size, 112×112. frames.npz holds `embeddings` of all frames, `counts` of frames and names of `videos`.
A video's template is the normalised mean of its normalised frames, without mirror images, as in the original. Templates
are kept beside the checkpoint. If the command is killed, the same command resumes. Results go to evaluations/ytf.json
beside the checkpoint.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

from datasets.faces.reader import Reader
from datasets.formats.frame_embeddings import FrameEmbeddings
from eval.networks.engines.choice import device_of
from eval.networks.flags import add_network_flags, network_of
from eval.protocols import video_templates, videos, ytf, ytf_files
from eval.reporting import results
from eval.reporting.paper_numbers import paper
from runtime import Failure, run_command, shown
from runtime.files import check_folder_of, find_under

OURS = "MS1MV2, R100, ArcFace"  # the row of Table 4


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", metavar="DIR", help="the folder of the list and the frames")
    parser.add_argument("--splits", metavar="FILE", help="the list of pairs, also a name in DIR (default: splits.txt, "
                        "else splits_corrected.txt)")
    parser.add_argument("--embeddings", metavar="FRAMES.npz", help="ready-made embeddings of the frames, in place of a "
                        "network; also a name in DIR")
    add_network_flags(parser)
    parser.add_argument("--align", action="store_true", help="frames are whole pictures: find and align their faces")
    parser.add_argument("--leave-out", action="store_true", help="leave out the pairs of videos without a usable frame")
    parser.add_argument("--output", metavar="FILE.npy", help="where the videos' templates are kept (default: beside "
                        "the checkpoint, evaluations/ytf-NNNN-….npy)")
    parser.add_argument("--json", metavar="OUT", help="write the result to this file, too")
    options = parser.parse_args(arguments)
    if (options.embeddings is None) == (options.model is None):
        parser.error("give either --model or --embeddings")
    if options.root is None and (options.model or not options.splits):
        parser.error("--root is needed: the folder of the list and the frames")
    if options.embeddings and (options.align or options.output):
        parser.error("--align and --output are for frames, and --embeddings are there already")
    if options.output and not options.output.endswith(".npy"):
        parser.error(f"--output {options.output}: name a file that ends in .npy")
    try:
        device_of(options.ctx, options.engine)
    except argparse.ArgumentTypeError as error:
        parser.error(str(error))
    return options


def from_embeddings(options):
    """Return (names, templates, what results say of the data) of ready-made embeddings."""
    file = FrameEmbeddings(find_under(options.embeddings, options.root), "videos")
    return file.names.tolist(), file, {"embeddings": os.path.abspath(file.path), "frames": file.frames}


def from_frames(options, splits, network):
    """Return (names, templates, what results say of the data) of the frames under --root."""
    folder = ytf_files.frames_folder(options.root, options.align)
    listed = ytf_files.videos_in(folder)
    check_videos(options, splits, listed, folder)
    reader = Reader(network.embedder.image_shape[1], not options.align, "align it (--align)")
    source = videos.Videos(folder, list(listed), list(listed.values()), videos.face_frames(reader, folder),
                           network.embedder, "folder of videos" if options.align else "folder of aligned videos")
    output = options.output
    if not output:
        kept = os.path.join(os.path.dirname(os.path.abspath(network.prefix)), results.FOLDER)
        os.makedirs(kept, exist_ok=True)
        output = videos.store_name(os.path.join(kept, f"ytf-{network.epoch:04d}"), network, source)
    names, templates = videos.kept(output, network, source, progress=True)
    return names, templates, {"frames_folder": os.path.abspath(folder), "frames": sum(source.counts),
                              "aligned_here": options.align}


def check_videos(options, splits, names, path):
    """Raise Failure where videos of the list are missing, unless they may be left out."""
    missing = [name for name in splits.videos if name not in names]
    if missing and not options.leave_out:
        raise Failure(f"{path}: {len(missing)} of the {len(splits.videos)} videos of {splits.path} have no usable "
                      f"frame, such as {shown(missing[0])}: add their frames, or leave their pairs out (--leave-out)")


def main(arguments=None):
    """Evaluate a network or embeddings on YouTube Faces."""
    options = parse_arguments(arguments)
    check_folder_of(options.json, "--json")
    check_folder_of(options.output, "--output")
    splits = ytf_files.read_splits(ytf_files.find_list(options.splits, options.root))
    print(f"[ytf]list: {shown(splits.path)}: {len(splits.issame)} pairs, {int(splits.issame.sum())} of them genuine, "
          f"in {len(set(splits.split.tolist()))} splits", flush=True)
    if options.model:
        ytf_files.frames_folder(options.root, options.align)  # before the network takes its time
    network = network_of(options) if options.model else None
    names, templates, about = from_frames(options, splits, network) if network else from_embeddings(options)
    there = set(names)
    if not network:
        there -= {name for name, count in zip(names, templates.counts.tolist()) if not count}
    check_videos(options, splits, there, about.get("embeddings") or about["frames_folder"])
    missing = set(splits.videos) - there
    used = ytf.without(splits, missing)
    ytf.check_folds(used)
    rows = ytf.rows_of(used, names, about.get("embeddings") or about["frames_folder"])
    if not network:
        templates = video_templates.of_file(templates, progress=True)
    values = ytf.evaluate(used, templates, rows)
    note = ytf.note_of(used)
    left_out = len(splits.issame) - len(used.issame)
    print(f"[ytf]videos: {len(there)}, with {about['frames']} frames"
          + (f"; videos without a usable frame: {len(missing)}; {left_out} pairs are left out" if missing else ""))
    print(f"[ytf]Accuracy: {values['accuracy']:1.5f}+-{values['std']:1.5f}")
    if not used.consecutive:
        print(f"[ytf]Accuracy with folds by lines: {values['accuracy_by_lines']:1.5f}")
    print(f"[ytf]AUC: {values['auc']:1.5f}\n[ytf]paper: {paper('table4')['rows'][OURS][-1]} % (Table 4, {OURS})")
    if note:
        print(f"[ytf]note: the accuracy is not to be trusted: {note}", file=sys.stderr, flush=True)
    data = {**results.data_of(splits.path, len(splits.issame)), **about, "list": os.path.basename(splits.path),
            "videos": len(there), "pairs_left_out": left_out}
    evaluation = results.of_benchmark(
        {"name": "videos", "folds": len(values["accuracies"]), "aligned_here": options.align}, values, data,
        network and network.checkpoint, False if network else None, network and network.engine,
        {} if values["auc"] == values["auc"] else {"auc": "the list has pairs of one kind only"}, note)
    if network:
        results.keep(network.prefix, "ytf", evaluation)
    if options.json:
        results.write_object(options.json, "ytf", evaluation)


if __name__ == "__main__":
    run_command(main)
