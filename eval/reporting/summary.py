"""What `eval/verification.py` prints after the original's lines: intervals, subgroups, a comparison, and the table."""
from eval.protocols.comparison import compare, interval_values, intervals, right_of
from eval.protocols.subgroups import groups_of, of_groups
from eval.reporting.paper_numbers import of_benchmark
from eval.reporting.results import tar_of
from runtime import shown

PAPER = {"table2": ("Table 2", "ArcFace (0.5)"), "table4": ("Table 4", "MS1MV2, R100, ArcFace"),
         "table5": ("Table 5", "MS1MV2, R100, ArcFace")}
"""The tables with verification files: what they are called here, and ArcFace's row."""
UNITS = {"identity": "identities", "pair": "pairs"}


def report(name, result, ends, attributes=None, other=None):
    """Return what a verification gives beyond the original's measures, and the lines on it.

    Parameters
    ----------
    name : str
    result : EasyDict
        From `eval.protocols.pairs.verify`.
    ends : int array, shape (N, 2)
        The identities of each pair's images.
    attributes : list of (str or None), length 2N, optional
        Of the images: results by subgroup.
    other : (dict, EasyDict), optional
        Another checkpoint and its result: the two are compared.

    Returns
    -------
    values : dict
        `intervals`, and `subgroups` and `comparison` where they are asked for.
    lines : list of str
    """
    found = intervals(result, ends)
    values = {"intervals": interval_values(found)}
    lines = uncertainty_lines(name, result, found)
    if attributes is not None:
        groups = groups_of(attributes)
        values["subgroups"] = of_groups(groups, right_of(result)[0], result.issame, ends)
        lines += subgroup_lines(name, values["subgroups"], len(result.issame) - sum(map(len, groups.values())))
    if other is not None:
        values["comparison"] = {"checkpoint": other[0], **compare(result, other[1], ends)}
        lines.append(comparison_line(name, values["comparison"]))
    return values, lines


def _between(interval):
    """Return [low, high] as text; no interval as -."""
    return "-" if interval is None else f"{interval[0]:1.5f} to {interval[1]:1.5f}"


def uncertainty_lines(name, result, found):
    """Return the lines on the equal error rate and the intervals (`eval.protocols.comparison.intervals`).

    They read ``[lfw]EER: 0.00467 (95% 0.00312 to 0.00681)`` and ``[lfw]Accuracy interval: 95% 0.99300 to 0.99700
    (bootstrap over identities)``.
    """
    both = {measure: None if one.low is None else (one.low, one.high) for measure, one in found.items()}
    rate = f"cannot be computed: {result.no_auc}" if result.no_auc else \
        f"{result.eer:1.5f} (95% {_between(both['eer'])})"
    accuracy = found["accuracy"]
    how = accuracy.reason or ("bootstrap over " if accuracy.method == "bootstrap" else
                              "exact binomial, since no draw would differ; trials are ") + UNITS[accuracy.unit]
    return [f"[{name}]EER: {rate}", f"[{name}]Accuracy interval: 95% {_between(both['accuracy'])} ({how})"]


def subgroup_lines(name, subgroups, left_out):
    """Return a line for each subgroup, and one on the pairs that are in none.

    A line reads ``[lfw]subgroup women: 0.99100 of 1200 pairs (600 genuine), 95% 0.98400 to 0.99600; TAR 0.98700, FAR
    0.00500``.

    Parameters
    ----------
    name : str
    subgroups : dict
        From `eval.protocols.subgroups.of_groups`.
    left_out : int
    """
    def rate(value):
        return "-" if value is None else f"{value:1.5f}"
    lines = [f"[{name}]subgroup {shown(group)}: {one['accuracy']:1.5f} of {one['pairs']} pairs ({one['genuine']} "
             f"genuine), 95% {_between(one['interval'])}; TAR {rate(one['tar'])}, FAR {rate(one['far'])}"
             for group, one in subgroups.items()]
    return lines + [f"[{name}]subgroup -: {left_out} pairs have an image without an attribute"] * bool(left_out)


def comparison_line(name, found):
    """Return the line on a comparison (`eval.protocols.comparison.compare`)."""
    p = "" if found["p_bootstrap"] is None else f", p {found['p_bootstrap']:.3g}"
    return (f"[{name}]compared with {shown(found['checkpoint']['prefix'])},{found['checkpoint']['epoch']}: "
            f"{found['accuracy']:1.5f}, difference {found['difference']:+1.5f} (95% {_between(found['interval'])}, "
            f"bootstrap over {UNITS[found['unit']]}{p}); McNemar: {found['only_here']} pairs right here alone, "
            f"{found['only_there']} there alone, p {found['p_mcnemar']:.3g}")


def table_lines(evaluated):
    """Return the summary table: what was measured, and ArcFace's values in the paper's Tables 2, 4 and 5, in %.

    Parameters
    ----------
    evaluated : list of (str, dict)
        Name of the verification file, and the evaluation.

    Returns
    -------
    list of str
        None of a single file that the paper does not have.
    """
    papers = {name: of_benchmark(name) or {} for name, _ in evaluated}
    if len(evaluated) < 2 and not any(papers.values()):
        return []
    several = len({one["checkpoint"]["epoch"] for _, one in evaluated}) > 1

    def percent(value):
        return "-" if value is None else f"{100 * value:.2f}"
    rows = [["%", "accuracy", "95% interval", "EER", "TAR@1e-3", "AUC", *(title for title, _ in PAPER.values())]]
    for name, one in evaluated:
        values, between = one["values"], one["values"]["intervals"]["accuracy"]
        printed = [papers[name].get(table, {}).get(row) for table, (_, row) in PAPER.items()]
        rows.append([f"{shown(name)},{one['checkpoint']['epoch']}" if several else shown(name),
                     percent(values["accuracy"]),
                     "-" if between is None else f"{100 * between[0]:.2f}-{100 * between[1]:.2f}",
                     *(percent(value) for value in (values["eer"], tar_of(values), values["auc"])),
                     *("-" if value is None else f"{value:.2f}" for value in printed)])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))])
             for row in rows]
    return [*lines, "the paper's ArcFace: Table 2 CASIA, ResNet50, m = 0.5; Tables 4 and 5 MS1MV2, ResNet100; other "
                    "rows are in the results' `paper`"]
