"""The page of a run: what stands in it, and how it looks in a browser."""
import html.parser
import json
import re
import shutil
import struct
import subprocess

import pytest

from eval.reporting import results
from runtime import Failure
from tools import report

FRAME = """<!doctype html><meta charset=utf-8><iframe id=page style="border:0" width=WIDTH height=900></iframe>
<pre id=said></pre><script>
const page = document.getElementById("page");
page.onload = () => {
  const root = page.contentDocument.documentElement;
  const broken = [...page.contentDocument.images].filter(one => !one.naturalWidth).length;
  document.getElementById("said").textContent = `wide ${root.scrollWidth} high ${root.scrollHeight} broken ${broken}`;
};
page.srcdoc = PAGE;
</script>"""


class Reader(html.parser.HTMLParser):
    """Collects a page's tags, text and what it refers to."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.words, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]
        assert not [name for name, _ in attributes if name.startswith("on")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(folder, *flags):
    report.main([str(folder), *map(str, flags)])
    return Reader((folder / "report.html").read_text(encoding="utf-8"))


def test_the_page_stands_alone_and_has_everything(run_of_page, capsys):
    page = page_of(run_of_page)
    assert "report.html: " in capsys.readouterr().out
    assert "script" not in page.tags and "iframe" not in page.tags and "link" not in page.tags
    assert all(link.startswith(("data:image/", "#")) for link in page.links)
    assert page.tags.count("img") == 3 + 1 + 2  # loss, verified, angles; ROC; two histograms
    lfw = json.loads((run_of_page / "evaluations" / "lfw.json").read_text())["evaluations"][0]["values"]
    for said in (f"{100 * lfw['accuracy']:.2f} %", f"{100 * lfw['auc']:.2f} %", "99.53", "99.83", "99.82", "Table 2",
                 "Table 4", "Table 5", "TAR at 1e-04 95.65 %", "TAR, strict at 1e-04 95.61 %", "95.6",
                 "mean of two galleries, rank, 1 95.00 %", "one gallery (no mate <script>", "r100", "lr_steps [1, 2]",
                 "MS1MV2", "research only", "Limits of biometric use", "CFP-FP, AgeDB-30", "McNemar",
                 "95 % intervals: accuracy", "<script>alert(1)</script> / plain", "single crop",
                 "image and mirror image, summed"):
        assert said in page.text, said
    assert "no results by subgroup" not in page.text
    order = [page.text.index(said) for said in ("LFW model, epoch 1", "IJB-C model, epoch 1", "pairs model, epoch 1")]
    assert order == sorted(order)
    own = page.text[order[0]:]
    assert own.index("accuracy") < own.index("deviation over the folds") < own.index("AUC") < own.index("mean norm")


def test_faces_only_when_asked_for(run_of_page):
    without, with_faces = page_of(run_of_page), page_of(run_of_page, "--with-faces")
    assert not [link for link in without.links if link.startswith("data:image/jpeg")]
    assert len([link for link in with_faces.links if link.startswith("data:image/jpeg")]) == 2 * 2 * 2 * 8
    assert "Genuine pairs that are furthest apart" in without.text
    (run_of_page / "lfw.bin").write_bytes(b"another")
    (run_of_page / "pairs.bin").unlink()
    gone = page_of(run_of_page, "--with-faces")
    assert not [link for link in gone.links if link.startswith("data:image/jpeg")]
    assert "lfw.bin: it is another file now" in gone.text and "pairs.bin: it is not there any more" in gone.text


def test_the_card_says_unknown_and_takes_flags(run_of_page):
    (run_of_page / "config.json").write_text('{"dataset": "mine"}')
    page = page_of(run_of_page, "--output", run_of_page / "report.html")
    assert "Training data mine Licence of the data unknown" in page.text
    page = page_of(run_of_page, "--data", "my photographs", "--data-licence", "all consented")
    assert "Training data my photographs Licence of the data all consented" in page.text


def test_a_run_that_has_little(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(Failure, match="it is no folder of a run"):
        report.main([str(tmp_path)])
    (tmp_path / "config.json").write_text('{"loss": "arcface"}')
    page = page_of(tmp_path)
    assert "No course of the training is known" in page.text and "No evaluation is in this folder" in page.text
    assert "Tested on nothing" in page.text
    for content in (b"[]", b"{", b"\xff", b"[" * 100000):
        (tmp_path / "config.json").write_bytes(content)
        (tmp_path / "train.log").write_text("step 1 of 2: loss 1.0, 1.0 images/s\n")
        assert "There is no config.json" in page_of(tmp_path).text
        assert "config.json is not used" in capsys.readouterr().err


@pytest.mark.parametrize("change", [
    {"values": None}, {"values": {"intervals": 3}}, {"checkpoint": []}, {"pair_angles": "?"}, {"pair_kinds": "AA=="},
    {"protocol": None}, {"data": {}}, {"values": {"subgroups": {"a": {}}}}, {"values": {"comparison": {"p": 1}}}])
def test_an_entry_that_cannot_be_read_is_said(run_of_page, change):
    path = run_of_page / "evaluations" / "lfw.json"
    kept = json.loads(path.read_text())
    kept["evaluations"].append({**kept["evaluations"][0], **change})
    path.write_text(json.dumps(kept))
    page = page_of(run_of_page)
    assert page.text.count("An entry of this file cannot be read.") == 1 and "99.83" in page.text


def test_whole_numbers_of_any_size_and_settings_of_any_type(run_of_page):
    """A number that is too large for a float, and a data set that is a number."""
    (run_of_page / "config.json").write_text('{"dataset": 5, "pretrained": "models/a/model,1"}')
    path = run_of_page / "evaluations" / "lfw.json"
    kept = json.loads(path.read_text())
    kept["evaluations"].append({**kept["evaluations"][0], "values": {"queries": 10 ** 400}})
    path.write_text(json.dumps(kept))
    page = page_of(run_of_page)
    assert "queries 10,000" in page.text and "Training data 5, after pre-training" in page.text


def test_results_of_older_versions_need_the_verification_file(run_of_page):
    path = run_of_page / "evaluations" / "lfw.json"
    kept = json.loads(path.read_text())
    for name in ("pair_kinds", "engine"):
        del kept["evaluations"][0][name]
    path.write_text(json.dumps(kept))
    assert page_of(run_of_page).tags.count("img") == 6
    (run_of_page / "lfw.bin").unlink()
    assert page_of(run_of_page).tags.count("img") == 5


def test_what_cannot_be_read_or_written(run_of_page, tmp_path):
    for arguments, said in [((tmp_path / "none",), "no folder"),
                            ((run_of_page, "--log", tmp_path / "no.log"), "no.log"),
                            ((run_of_page, "--output", tmp_path / "no" / "page.html"), "page.html")]:
        with pytest.raises(Failure, match=said):
            report.main(list(map(str, arguments)))
    assert not (run_of_page / "report.html").exists()
    with pytest.raises(SystemExit) as caught:
        report.main([])
    assert caught.value.code == 2


def test_many_evaluations_make_one_picture_of_curves(run_of_page):
    path = run_of_page / "evaluations" / "pairs.json"
    one = results.read(path)[0]
    for epoch in range(2, 16):
        results.keep(run_of_page / "model", "pairs", {**one, "checkpoint": {**one["checkpoint"], "epoch": epoch}})
    assert page_of(run_of_page).text.count("epoch 1") >= 1


@pytest.fixture
def browser(tmp_path):
    """Take a picture of a page in headless Chromium: browser(path, width, height) → the PNG's bytes."""
    program = next(filter(None, map(shutil.which, (
        "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"))), None)
    if not program:
        pytest.skip("no Chromium is on this machine")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars",
             f"--user-data-dir={tmp_path / 'profile'}"]

    def run(path, *more):
        done = subprocess.run([program, *flags, *more, path.as_uri()], capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done
    return run


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (500, 900)])  # headless windows are at least 500 wide
def test_a_browser_draws_the_page(run_of_page, browser, tmp_path, width, height):
    report.main([str(run_of_page), "--with-faces"])
    picture = tmp_path / "page.png"
    browser(run_of_page / "report.html", f"--window-size={width},{height}", f"--screenshot={picture}")
    content = picture.read_bytes()
    assert struct.unpack(">II", content[16:24]) == (width, height)
    assert len(content) > 20000  # an empty page takes 5 KB


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
def test_no_part_is_wider_than_the_window(run_of_page, browser, tmp_path, width):
    """The page stands in a frame of the width; a script of the test, none of the page's, measures it there."""
    report.main([str(run_of_page), "--with-faces"])
    page = (run_of_page / "report.html").read_text(encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)).replace("PAGE", json.dumps(page).replace("</", "<\\/")),
                     encoding="utf-8")
    done = browser(frame, "--dump-dom", "--virtual-time-budget=10000")
    said = re.search(rb"wide ([0-9]+) high ([0-9]+) broken ([0-9]+)</pre>", done.stdout)
    wide, high, broken = map(int, said.groups())
    assert wide <= width and high > 2000 and broken == 0
