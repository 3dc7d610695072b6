"""Write a run as one page: training curves, every evaluation with the paper's figures beside it, settings, model card.

    python tools/report.py models/r100-arcface-emore
    python tools/report.py models/r100-arcface-emore --log train.log --output r100.html
    python tools/report.py models/y1-arcface-orl --with-faces --data-licence "research only"

The page is one HTML file without scripts. It needs no other file and no network. Evaluations are those in
RUN/evaluations, which the commands in eval/ write. The curves come from RUN/train.log or --log, where the lines of
recognition/train.py were kept, such as by `python recognition/train.py … | tee train.log`.
Faces of people are in the page only with --with-faces: think of who will read it.
"""
import os, sys  # noqa: E401, I001
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import argparse

from runtime import Failure, run_command, shown
from runtime.files import whole_file
from tools.reporting import run_folder


def parse_arguments(arguments=None):
    """Read the command's flags; ends the process with status 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", metavar="RUN", help="the folder of a run's checkpoints")
    parser.add_argument("--output", metavar="FILE.html", help="default: RUN/report.html")
    parser.add_argument("--log", metavar="FILE", help="the lines of recognition/train.py (default: RUN/train.log)")
    parser.add_argument("--with-faces", action="store_true", help="show the hardest pairs as faces; the verification "
                        "files have to be where they were")
    parser.add_argument("--data", metavar="TEXT", help="what the network was trained on, for the model card (default: "
                        "from the settings, else unknown)")
    parser.add_argument("--data-licence", metavar="TEXT", help="the licence of that data (default: that of the "
                        "published training set in the settings, else unknown)")
    return parser.parse_args(arguments)


def main(arguments=None):
    """Read the run's folder and write the page."""
    options = parse_arguments(arguments)
    run = run_folder.read(options.run, options.log)
    output = options.output or os.path.join(options.run, "report.html")
    if os.path.isdir(output) or not os.path.isdir(os.path.dirname(os.path.abspath(output))):
        raise Failure(f"{shown(output)}: its folder is not there, or it is a folder itself; name another file with "
                      "--output")
    from tools.reporting.page import render  # matplotlib and jinja2 take a second to import
    page = render(run, options.with_faces, options.data, options.data_licence)
    with whole_file(output, "w") as file:
        file.write(page)
    print(f"{shown(output)}: {len(page) / 1e6:.1f} MB, {sum(len(found) for _, found in run.evaluations)} evaluations")


if __name__ == "__main__":
    run_command(main)
