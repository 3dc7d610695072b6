"""The page of a run: everything in one HTML file, which needs no script and no other file."""
import datetime
import json
import os

import jinja2

from tools.reporting import evaluations, pictures
from tools.reporting.card import card

TEMPLATE = "page.html.jinja"
MOST_CURVES = 12  # more cannot be told apart in one picture


def _training(run):
    """Return the pictures of the course of the training, with captions."""
    found, course = [], run.course
    if course and course.loss:
        rates = ", ".join(f"{rate:g} after step {step}" for step, rate in course.rates.items())
        found.append({"image": pictures.loss(course), "caption": "Loss by step" + (
            ", and the accuracy of the margin logits, which a margin keeps low" if course.accuracy else "")
            + (f". Dotted: the learning rate falls to {rates}." if rates else ".")})
    if course and course.verified:
        found.append({"image": pictures.verified(course), "caption":
                      "Accuracy on the verification sets while training; bars are the deviation over the folds."})
    if run.angles:
        found.append({"image": pictures.mean_angles(run.angles), "caption":
                      "Mean angle between an embedding and the centre of its class (Figure 4a)."})
    return found


def _view(name, evaluation, faces):
    try:
        return evaluations.view(name, evaluation, faces)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):  # the file may be anyone's
        return None


def _in_the_papers_order(item):
    order = list(evaluations.TITLES)
    return order.index(item[0]) if item[0] in order else len(order), item[0]


def _text(value):
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def render(run, faces=False, data=None, licence=None):
    """Return the page of a run as text.

    Parameters
    ----------
    run : tools.reporting.run_folder.Run
    faces : bool
        Whether the hardest pairs are shown as faces.
    data, licence : str, optional
        As for `tools.reporting.card.card`.
    """
    benchmarks, curves = [], []
    for number, (name, found) in enumerate(sorted(run.evaluations, key=_in_the_papers_order)):
        views = [_view(name, one, faces) for one in found]
        curves += [one["curve"] for one in views if one and one["curve"]]
        benchmarks.append({"title": evaluations.TITLES.get(name, name), "anchor": f"benchmark-{number}",
                           "paper": evaluations.paper_of(name), "evaluations": views})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(os.path.abspath(__file__))), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.get_template(TEMPLATE).render(
        title=f"Run {os.path.basename(os.path.abspath(run.folder))}", faces=faces, benchmarks=benchmarks,
        card=card(run, data, licence), training=_training(run),
        roc=pictures.roc(curves[:MOST_CURVES]) if curves else "",
        settings=[(name, _text(value)) for name, value in sorted(run.settings.items()) if name != "how"],
        made=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
