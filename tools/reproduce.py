"""Reproduce a table or figure of the paper from given data, beside the paper's own numbers.

    python tools/reproduce.py table2 --dataset orl --network mnas025 --seeds 3
    python tools/reproduce.py table2 --dataset orl --network y1 --rows softmax,arcface --max-steps 100 -- --lr 0.05
    python tools/reproduce.py table3 --model models/y1-arcface-orl/model,1 --data datasets/orl
    python tools/reproduce.py table5 --model models/r100-arcface-emore/model,1 --data-dir datasets/faces_emore
    python tools/reproduce.py table7 --model models/r100-arcface-emore/model,1
    python tools/reproduce.py figure4b
    python tools/reproduce.py figure8 --results OUT/cmc_facescrub_megaface_arc_1000000_1.json
    python tools/reproduce.py figure6 --model models/y1-arcface-orl/model,1 --model models/y1-atriplet-orl/model,1 \\
        --data datasets/orl/heldout

Tables 4 to 9 and Figure 7 take the results that lie beside the checkpoint (`eval/verification.py` writes them), and
compute what is not there. Tables 6 to 8 and Figure 9 take the results of `eval/megaface.py`, `eval/ijb.py` and
`eval/trillionpairs.py` and compute nothing. Figure 8 takes MegaFace's result files. What is written goes to
models/results/, or where --out says.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import tempfile

from eval.networks import checkpoints
from eval.networks.embedder import Embedder
from eval.networks.engines.by_mxnet import ByMXNet
from eval.networks.flags import one_checkpoint
from eval.protocols.targets import find_targets, sets_in
from eval.reporting import plots
from eval.reporting.results import versions
from recognition import train
from recognition.config.build import build
from recognition.config.datasets import DATASETS
from recognition.config.losses import LOSSES, row_of
from recognition.config.networks import NETWORKS
from recognition.data.check import check_dataset
from recognition.reporting import angle_trace
from runtime import ROOT, Failure, run_command
from runtime.devices import parse_context
from runtime.files import whole_file, write_json
from runtime.flags import names, positive
from runtime.locks import alone_with
from tools.paper import figure3, figures, ijb, large_scale, paper_tables, table2, table2_report, videos
from tools.paper.evaluated import Checkpoint

RESULTS = os.path.join(ROOT, "models", "results")  # git ignores it
ORL = os.path.join(ROOT, "datasets", "orl")


def train_flags(usage, given):
    """Return the flags behind `--`, parsed as `recognition/train.py` does; ends with status 2 where one is ours."""
    parser = train.parser()
    plain, parsed = vars(parser.parse_args([])), vars(parser.parse_args(given))
    own = [name for name in table2.OWN_FLAGS if parsed[name] != plain[name]]
    if own or parsed["max_steps"] is not None:
        usage.error(f"--{(own or ['max_steps'])[0].replace('_', '-')} cannot stand behind --: this command sets it")
    for name in table2.OWN_FLAGS:
        del parsed[name]
    return parsed


def make_table2(usage, arguments):
    """Train every row of Table 2 under one budget, and write the table each time one is done."""
    flags = train_flags(usage, arguments.train_flags)
    losses = arguments.rows or [name for name, loss in LOSSES.items() if loss.table2]
    unknown = [name for name in losses if name not in LOSSES]
    if unknown:
        raise Failure(f"unknown loss {unknown[0]!r}; known: {', '.join(LOSSES)}")
    if arguments.triplets_from and arguments.triplets_from not in losses:
        usage.error(f"--triplets-from {arguments.triplets_from}: it has to be one of the rows")
    budget = [] if arguments.max_steps is None else ["--max-steps", str(arguments.max_steps)]
    flags["max_steps"] = arguments.max_steps
    config = build(arguments.network, losses[0], arguments.dataset, flags)
    folder, sets = verification_sets(config)
    name = f"{arguments.dataset}-{arguments.network}"
    runs = os.path.abspath(arguments.runs or os.path.join(ROOT, "models", f"table2-{name}"))
    out = table2_out(arguments)
    planned = table2.plan(losses, list(range(arguments.seeds)), arguments.network, arguments.dataset, flags, runs, sets,
                          not arguments.no_flip, arguments.triplets_from)
    about = {"command": table2_report.command(), "versions": versions(), "dataset": arguments.dataset,
             "network": arguments.network, "max_steps": planned[0].config["max_steps"]}

    def write():
        table = table2_report.summary(planned, losses, list(range(arguments.seeds)), sets, not arguments.no_flip, about)
        table2_report.write(table, out)
    write()
    if not arguments.table_only:
        table2.work(planned, folder, runs, [*arguments.train_flags, *budget], arguments.jobs, write)
    print(f"{out}.md and {out}.json")
    failed = [run for run in planned if run.failure]
    if failed:
        raise Failure(f"{len(failed)} of {len(planned)} runs failed, the first ({failed[0]}) with: "
                      f"{failed[0].failure}; the same command tries them again")


def table2_out(arguments):
    """Return the name without an ending of the files of Table 2."""
    return arguments.out or os.path.join(RESULTS, f"table2-{arguments.dataset}")


def verification_sets(config):
    """Return a dataset's folder and the names of its verification sets that are there."""
    check_dataset(config)
    folder = config.dataset_path if os.path.isdir(config.dataset_path) else os.path.dirname(config.dataset_path)
    found, missing = sets_in(folder, config.targets or None)
    if not found:
        raise Failure(f"{folder} has no verification file {' or '.join(f'{name}.bin' for name in missing) or '.bin'}: "
                      "put one there to judge the rows by")
    return folder, list(found)


def make_table3(usage, arguments):
    """Print the angle statistics of Table 3."""
    held_out = arguments.held_out
    if held_out is None and os.path.isdir(os.path.join(arguments.data, "heldout")):
        held_out = os.path.join(arguments.data, "heldout")
    columns = paper_tables.table3(arguments.model, arguments.data, held_out, arguments.ctx[0], arguments.temporary,
                                  progress=True)
    text = paper_tables.table3_text(columns, arguments.data, held_out)
    finish_table(arguments, text, {"data": arguments.data, "held_out": held_out, "columns": columns})


def finish_table(arguments, text, values):
    """Print a table, and write it where --out says."""
    print(text, end="")
    if arguments.out:
        os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
        with whole_file(f"{arguments.out}.md", "w") as file:
            file.write(text)
        write_json(f"{arguments.out}.json", {"command": table2_report.command(), **values})


def load(model, context):
    """Return the embedder of a (prefix, epoch)."""
    return Embedder(ByMXNet(*checkpoints.load(*model), context))


def make_table(usage, arguments):
    """Print one of Tables 4 to 9, as far as its evaluation and data are there."""
    if arguments.what == "table7":
        make_table7(usage, arguments)
        return
    if arguments.what in large_scale.BENCHMARKS:
        make_large_scale(arguments)
        return

    def find(name):
        try:
            return find_targets(name, arguments.data_dir)[0][0][1]
        except Failure:
            return None
    checkpoint = Checkpoint(*arguments.model, arguments.ctx[0]) if arguments.model else None
    title = paper_tables.name_of(arguments.model[0]) if arguments.model else "no model given"
    table9 = videos.table9(title, checkpoint) if arguments.what == "table9" else None
    if table9:
        finish_table(arguments, table9[0], {"model": title, "results": table9[1], "needs": {}})
        return
    results, needs = paper_tables.verified(arguments.what, checkpoint, find, not arguments.no_flip)
    more = videos.add_ytf(results, needs, checkpoint) if arguments.what == "table4" else ""
    text = paper_tables.table_text(arguments.what, title, results, needs, not arguments.no_flip) + more
    finish_table(arguments, text, {"model": title, "results": results, "needs": needs})


def make_large_scale(arguments):
    """Print Table 6 or 8 with what eval/megaface.py or eval/trillionpairs.py has measured."""
    own, title, flip = [], "no model given", not arguments.no_flip
    if arguments.model:
        prefix, epoch = arguments.model
        title = f"{paper_tables.name_of(prefix)}, epoch {epoch}"
        own = large_scale.rows(arguments.what, prefix, Checkpoint(prefix, epoch).fingerprint, flip)
    finish_table(arguments, large_scale.text(arguments.what, title, own, flip), {"model": title, "rows": dict(own)})


def make_figure8(usage, arguments):
    return large_scale.figure8(arguments.results)


def make_table7(usage, arguments):
    """Print Table 7 with what eval/ijb.py has measured."""
    text, values = ijb.table7(arguments.model or [], arguments.setting)
    finish_table(arguments, text, {"setting": arguments.setting, "rows": values})


def make_figure9(usage, arguments):
    return ijb.figure9(arguments.model, arguments.setting)


def make_figure3(usage, arguments):
    """Train networks with two-dimensional embeddings on eight identities, and draw what they learn."""
    if not os.path.exists(arguments.data) and arguments.data == ORL:
        raise Failure(f"{ORL} is missing: run `python datasets/orl.py`, or give another labelled record with --data")
    flags = {**train_flags(usage, arguments.train_flags), "max_steps": arguments.max_steps, "seed": arguments.seed}
    with tempfile.TemporaryDirectory() as folder:
        fewest, most = figure3.write_subset(arguments.data, folder)
        nets = figure3.nets(arguments.network, arguments.dataset, folder, flags)
    of = f"{most}" if fewest == most else f"{fewest} to {most}"
    scale = flags["loss_s"] or figure3.SCALE
    return figure3.draw(nets, f"Eight identities of {os.path.basename(os.path.abspath(arguments.data))}, {of} images "
                        "each (the paper has about 1,500 each), by normalised 2-D embeddings,\neach on a ring of its "
                        "own for legibility; lines are W. Both go on from one softmax network, as many steps again; "
                        f"ArcFace has s = {scale:g}.")


def make_figure4a(usage, arguments):
    return figures.figure4a(angle_trace.read(arguments.angles))


def make_figure4b(usage, arguments):
    return figures.figure4b()


def make_figure5(usage, arguments):
    return figures.figure5()


def make_figure6(usage, arguments):
    names = [paper_tables.name_of(prefix) for prefix, _ in arguments.model]
    titles = [row_of(name) for name in names]
    models = [(title, load(model, arguments.ctx[0])) for title, model in zip(titles, arguments.model)]
    return figures.figure6(models, arguments.data, arguments.impostors, arguments.seed, progress=True)


def make_figure7(usage, arguments):
    targets = find_targets(arguments.target, arguments.data_dir)[0]
    checkpoint = Checkpoint(*arguments.model, arguments.ctx[0])
    return figures.figure7(checkpoint, targets, not arguments.no_flip, progress=True)


FIGURES = {"figure3": make_figure3, "figure4a": make_figure4a, "figure4b": make_figure4b, "figure5": make_figure5,
           "figure6": make_figure6, "figure7": make_figure7, "figure8": make_figure8,
           "figure9": make_figure9}


def context(text):
    """Read --ctx, of one device. Serves as the `type` of an argparse flag."""
    found = parse_context(text)
    if text and len(found) > 1:
        raise argparse.ArgumentTypeError(f"{text}: give one device")
    return found


def add_ijb(part, required):
    """Add the flags of what reads the results of eval/ijb.py."""
    part.add_argument("--model", type=one_checkpoint, required=required, nargs="+", action="extend",
                      metavar="PREFIX,EPOCH", help="whose results are read")
    part.add_argument("--setting", default="N0D0F0", choices=ijb.SETTINGS, help="norms kept, detector score, mirror "
                      "image (default N0D0F0, as in the paper)")


def parser():
    """Return the parser of the command's flags, one of its own for each table and figure."""
    usage = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = usage.add_subparsers(dest="what", required=True, metavar="WHAT")
    ctx = argparse.ArgumentParser(add_help=False)
    ctx.add_argument("--ctx", type=context, default="", help="cpu or gpu:N (default: the first visible GPU, else the "
                     "CPU)")
    flip = argparse.ArgumentParser(add_help=False)
    flip.add_argument("--no-flip", action="store_true", help="a single crop, as in the paper, in place of the "
                      "original's sum with the mirror image")

    part = parts.add_parser("table2", parents=[flip], help="train every loss under one budget and verify it")
    add = part.add_argument
    add("--dataset", required=True, help=f"one of {', '.join(DATASETS)}, or any name with -- --dataset-path")
    add("--network", required=True, help=f"one of {', '.join(NETWORKS)}")
    add("--seeds", type=positive, default=1, help="train each row with seeds 0, 1, … (default 1)")
    add("--rows", type=names, help="losses by their names, comma-separated (default: the paper's twenty)")
    add("--max-steps", type=positive, help="the budget, in batches (default: the dataset's)")
    add("--triplets-from", metavar="LOSS", help="start the losses of triplets alone from the network of another row, "
        "as softmax (default: from nothing, as every row)")
    add("--jobs", type=positive, default=1, help="processes at a time; threads are divided (default 1)")
    add("--runs", help="where checkpoints and what is done are kept (default models/table2-DATASET-NETWORK)")
    add("--out", help="write OUT.md and OUT.json (default models/results/table2-DATASET)")
    add("--table-only", action="store_true", help="write the table from what is done, and train nothing")
    add("train_flags", nargs="*", metavar="-- FLAG …", help="further flags for recognition/train.py")
    part.set_defaults(make=make_table2)

    part = parts.add_parser("table3", parents=[ctx], help="statistics of angles")
    add = part.add_argument
    add("--model", type=one_checkpoint, required=True, nargs="+", action="extend", metavar="PREFIX,EPOCH",
        help="a column each")
    add("--data", required=True, help="the labelled record that they were trained on: a folder, or a .rec")
    add("--held-out", help="one of people that they were not trained on (default: DATA/heldout, where it is there)")
    add("--temporary", help="folder for temporary files, 2 KB an image of 512-D (default: the system's)")
    add("--out", help="write OUT.md and OUT.json as well")
    part.set_defaults(make=make_table3)

    for number in range(4, 10):
        part = parts.add_parser(f"table{number}", parents=[ctx, flip], help="the paper's, and what can be filled in")
        if number == 7:
            add_ijb(part, required=False)
        else:
            part.add_argument("--model", type=one_checkpoint, metavar="PREFIX,EPOCH", help="what fills the columns")
        part.add_argument("--data-dir", default=os.path.join(ROOT, "datasets"), help="where verification files "
                          "are looked for: in it, then in its folders (default: %(default)s)")
        part.add_argument("--out", help="write OUT.md and OUT.json as well")
        part.set_defaults(make=make_table)

    helps = {"figure3": "2-D embeddings of eight identities", "figure4a": "θ at the start, middle and end of a run",
             "figure4b": "target logits", "figure5": "decision margins", "figure6": "angles of a labelled test set",
             "figure7": "angles of verification files", "figure8": "CMC and ROC of MegaFace",
             "figure9": "ROC curves of IJB-B and IJB-C"}
    for name, make in FIGURES.items():
        parents = {"figure6": [ctx], "figure7": [ctx, flip]}.get(name, [])
        part = parts.add_parser(name, parents=parents, help=helps[name])
        add = part.add_argument
        add("--out", default=os.path.join(RESULTS, name), help="write OUT.png and OUT.svg (default models/results/"
            f"{name})")
        part.set_defaults(make=make)
        if name == "figure3":
            add("--data", default=ORL, help="a labelled record; its eight identities with the most images are taken "
                "(default datasets/orl)")
            add("--dataset", default="orl", help="whose schedule and augmentation training has (default orl)")
            add("--network", default="mnas025", help="default mnas025")
            add("--max-steps", type=positive, help="batches for each of three trainings (default: the dataset's)")
            add("--seed", type=int, default=0, help="default 0")
            add("train_flags", nargs="*", metavar="-- FLAG …", help="further flags for recognition/train.py")
        if name == "figure4a":
            add("--angles", required=True, help="angles.npz of a run with --trace-angles, or the run's folder")
        if name == "figure6":
            add("--model", type=one_checkpoint, required=True, nargs="+", action="extend", metavar="PREFIX,EPOCH",
                help="a panel each: in the paper ArcFace's and Triplet's")
            add("--data", required=True, help="a labelled record of people that were not trained on")
            add("--impostors", type=positive, default=500_000, help="random impostor pairs at most (default 500000)")
            add("--seed", type=int, default=0, help="draws them (default 0)")
        if name == "figure8":
            add("--results", required=True, nargs="+", action="extend", metavar="FILE", help="the devkit's result "
                "files, a curve each; eval/megaface.py --results writes such")
        if name == "figure9":
            add_ijb(part, required=True)
        if name == "figure7":
            add("--model", type=one_checkpoint, required=True, metavar="PREFIX,EPOCH")
            add("--data-dir", default=os.path.join(ROOT, "datasets"), help="where names are looked for "
                "(default: %(default)s)")
            add("--target", help="verification files, comma-separated names or paths, a panel each (default: "
                "lfw,cfp_fp,agedb_30, as far as they are there)")
    return usage


def main(arguments=None):
    usage = parser()
    arguments = usage.parse_args(arguments)
    if arguments.what not in FIGURES:
        arguments.make(usage, arguments)
        return
    os.makedirs(os.path.dirname(os.path.abspath(arguments.out)), exist_ok=True)
    with alone_with(arguments.out, "name another file with --out"):
        print(" and ".join(plots.save(arguments.make(usage, arguments), arguments.out)))


if __name__ == "__main__":
    run_command(main)
