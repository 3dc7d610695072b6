"""Make something to ship of a checkpoint: the embedding network alone, for MXNet, Gluon, ONNX or ncnn.

    python tools/export.py --model models/r100-arcface-emore/model,1 --format params --output r100
    python tools/export.py --model models/y1-arcface-orl/model,1 --format onnx --output y1 --fold
    python tools/export.py --model ../y1/model,0 --format gluon --output y1

params  OUTPUT-symbol.json, OUTPUT-0000.params    mx.model.load_checkpoint(OUTPUT, 0)
gluon   the same files                            gluon.SymbolBlock.imports(OUTPUT-symbol.json, ["data"], …)
onnx    OUTPUT.onnx                               (batch, 3, 112, 112) as `data` → (batch, D) as `fc1`
ncnn    OUTPUT.ncnn.param, OUTPUT.ncnn.bin        (3, 112, 112) as `in0` → (D,) as `out0`

All take RGB in 0…255 and give embeddings that are not normalised. With --fold, layers absorb the batch normalisation
behind them, for inference alone. What was written is run against the checkpoint before it takes its name.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import argparse
import tempfile

import numpy as np

from eval.networks import checkpoints
from eval.networks.flags import one_checkpoint
from runtime import Failure, run_command
from runtime.files import plain_name
from runtime.locks import alone_with
from symbols.folding import fold_batch_norm
from tools.exporting.formats import FORMATS, largest_difference, runner

NAME = "network"  # of the files until they are whole and right
LIMIT = 1e-4  # of the difference, relative to the largest element


def export(model, form, output, fold=False):
    """Write a checkpoint's embedding network in a format.

    Parameters
    ----------
    model : (str, int)
        Prefix and epoch of a training or embedding checkpoint.
    form : str
        A key of `FORMATS`.
    output : str
        What the files' names begin with.
    fold : bool
        Fold batch normalisation into the layers before it.

    Returns
    -------
    written : list of str
        The files; they appear together and only when they are right.
    difference : float or None
        As `largest_difference` gives it; None where what runs the format is not installed.

    Raises
    ------
    runtime.Failure
        The checkpoint cannot be read, the format has no expression for it or its packages are missing, the output
        would replace the checkpoint, or what was written does not compute the same.
    """
    folder, name = os.path.split(output)
    if not name:
        raise Failure(f"--output {output!r} names a folder: add what the files' names shall begin with")
    if form in ("params", "gluon") and os.path.realpath(output) == os.path.realpath(model[0]):
        raise Failure(f"--output {output} would replace the graph of the checkpoint itself: give another name")
    symbol, *params = checkpoints.load(*model)  # some are stored in halves
    source = symbol, *({key: value.astype(np.float32, copy=False) for key, value in table.items()} for table in params)
    network = fold_batch_norm(*source) if fold else source
    os.makedirs(folder or ".", exist_ok=True)
    with alone_with(output, "give another name with --output"), \
            tempfile.TemporaryDirectory(prefix=".export-", dir=folder or ".") as temporary, \
            plain_name(temporary) as place:  # `output` may have bytes that MXNet and the converters cannot read
        try:
            exported, difference = FORMATS[form](os.path.join(place, NAME), *network), None
        except OSError as error:  # of a file that was open already, such as of a full disk
            error.filename = output
            raise
        if exported:
            difference = largest_difference(runner(*source), exported, (1, 1) if form == "ncnn" else (1, 3))
            if not difference <= LIMIT:
                raise Failure(f"nothing was written: as {form}, the network's embeddings differ from those of "
                              f"{checkpoints.params_path(*model)} by {difference:.2g} of the largest element "
                              f"(at most {LIMIT:g} is rounding)")
        written = [(made, output + made[len(NAME):]) for made in sorted(os.listdir(temporary))]
        for made, final in written:
            os.replace(os.path.join(temporary, made), final)
    return [final for _, final in written], difference


def main(arguments=None):
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--model", type=one_checkpoint, required=True, metavar="PREFIX,EPOCH",
                       help="a checkpoint, of which the part up to the embedding is exported")
    flags.add_argument("--format", choices=FORMATS, required=True)
    flags.add_argument("--output", required=True, help="what the names of the files begin with, as in models/y1")
    flags.add_argument("--fold", action="store_true", help="fold batch normalisation into the layers before it")
    arguments = flags.parse_args(arguments)
    output, extension = os.path.splitext(arguments.output)
    if extension != f".{arguments.format}":
        output = arguments.output
    written, difference = export(arguments.model, arguments.format, output, arguments.fold)
    print(f"wrote {', '.join(written)}")
    print("not checked: onnxruntime is not installed (pip install -r requirements-onnx.txt)" if difference is None else
          f"its embeddings are the checkpoint's: the largest relative difference is {difference:.1e}")


if __name__ == "__main__":
    run_command(main)
