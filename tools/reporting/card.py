"""The model card: what the network is, what it was trained on, and what nobody knows about it."""
from datasets.published import table
from tools.reporting.evaluations import TITLES

UNKNOWN = "unknown"
LIMITS = (
    "The network gives a similarity of two aligned faces. It does not tell who somebody is. A decision needs a "
    "threshold, and the threshold belongs to a population, a camera and a false accept rate.",
    "A false accept rate that was measured on a benchmark does not hold for other people. Relatives, twins, children "
    "and people of groups that are rare in the training data are mistaken for each other more often.",
    "A search among many people multiplies false accepts: at a false accept rate of 1e-4, a search among 100,000 "
    "people finds about ten wrong ones. A match is a lead for a person to check, and never proof.",
    "The network does not notice photographs of photographs, masks or generated faces.",
    "Embeddings are biometric data. Faces can be rebuilt from them. Store and delete them as the photographs "
    "themselves. Many countries restrict such data by law (in the European Union: Article 9 of the GDPR and the AI "
    "Act): ask the people shown for their consent, and a lawyer for advice.")


def dataset_of(settings):
    """Return the training set of a run's settings as the table of published datasets has it, or None."""
    key = settings.get("dataset")
    return next((one for one in table.DATASETS if one.key == key), None)


def card(run, data=None, licence=None):
    """Return the model card of a run.

    Parameters
    ----------
    run : tools.reporting.run_folder.Run
    data, licence : str, optional
        What the network was trained on, and the licence of that data, where the run's settings do not tell or are to
        be corrected. Without either the card says that it is unknown.

    Returns
    -------
    dict
        `network`, `data`, `licence`, `facts` (pairs of text), `tested` and `untested` (lists of text), `limits`.
    """
    settings, known = run.settings, dataset_of(run.settings)
    if data is None:
        data = f"{known.name} ({known.images} images of {known.identities} identities as published; {known.source})" \
            if known else str(settings.get("dataset") or UNKNOWN)
        if settings.get("pretrained"):
            data += ", after pre-training that the settings below name and whose data is not known here"
    if licence is None:
        licence = f"{known.licence} (of the training data, as its publisher says; it may bind the network, too)" \
            if known else UNKNOWN
    names = [name for name, _ in run.evaluations]
    groups = any(isinstance(one.get("values"), dict) and one["values"].get("subgroups")
                 for _, evaluations in run.evaluations for one in evaluations)
    untested = [f"The paper's benchmarks {', '.join(title for name, title in TITLES.items() if name not in names)}."] \
        if set(TITLES) - set(names) else []
    if not groups:
        untested.append("Differences between groups of people, such as by sex, age or skin tone: no results by "
                        "subgroup are here.")
    untested += ["Attacks with photographs, screens, masks or generated faces.",
                 "Children, twins and relatives, unless a benchmark above is of them.",
                 "Blurred, dark, covered or small faces, unless a benchmark above is of them.",
                 "Faces that another detector finds and aligns."]
    return {"network": settings.get("network", UNKNOWN), "loss": settings.get("loss", UNKNOWN),
            "size": settings.get("emb_size", UNKNOWN), "classes": settings.get("num_classes", UNKNOWN),
            "data": str(data), "licence": str(licence), "tested": [TITLES.get(name, name) for name in names],
            "untested": untested, "limits": LIMITS}
