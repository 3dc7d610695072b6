"""GPUs and what MXNet can do with them, with stand-ins for the driver: a small library, and an nvidia-smi."""
import os
import shutil
import subprocess
import sys

import pytest

from runtime import cards
from runtime.cards import Card

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-ins are for Linux")

# A driver with two GPUs. It counts as CUDA does: CUDA_VISIBLE_DEVICES=1 shows the second one alone.
DRIVER = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static const char *names[] = {"NVIDIA H100 PCIe", "Tesla T4"};
static const int versions[][2] = {{9, 0}, {7, 5}};
static int first(void) { const char *list = getenv("CUDA_VISIBLE_DEVICES"); return list ? atoi(list) : 0; }
int cuInit(unsigned flags) {
    const char *status = getenv("STATUS");
    if (getenv("HANG")) sleep(60);
    return status ? atoi(status) : 0;
}
int cuDeviceGetCount(int *count) { *count = 2 - first(); return 0; }
int cuDeviceGet(int *device, int index) { *device = index + first(); return 0; }
int cuDeviceGetName(char *name, int size, int device) { strncpy(name, names[device], size); return 0; }
int cuDeviceGetAttribute(int *value, int number, int device) {
    if (number != 75 && number != 76) return 1;
    *value = versions[device][number - 75];
    return 0;
}
"""
H100, T4, A100 = Card("NVIDIA H100 PCIe", (9, 0)), Card("Tesla T4", (7, 5)), Card("NVIDIA A100-SXM4-40GB", (8, 0))
THREE = "0, NVIDIA H100 PCIe, 9.0\n1, Tesla T4, 7.5\n2, NVIDIA A100-SXM4-40GB, 8.0\n"


@pytest.fixture(autouse=True)
def no_driver(monkeypatch, tmp_path):
    """Hide this machine's driver behind a file that is no library, and its nvidia-smi behind an empty PATH."""
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "libcuda.so.1").write_bytes(b"no library")
    (tmp_path / "programs").mkdir()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "libraries"))
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cards.look.cache_clear()
    yield
    cards.look.cache_clear()


@pytest.fixture
def nvidia_smi(tmp_path):
    """Put an nvidia-smi on the path: nvidia_smi(what it prints), or nvidia_smi(body="lines of sh")."""
    def make(text="", uuids="", body=""):
        (tmp_path / "answer").write_text(text)
        (tmp_path / "uuids").write_text(uuids)
        program = tmp_path / "programs" / "nvidia-smi"
        program.write_text("#!/bin/sh\n" + (body or f"""case "$*" in
            "--query-gpu=index,name,compute_cap --format=csv,noheader") /bin/cat {tmp_path}/answer ;;
            "--query-gpu=index,uuid --format=csv,noheader") /bin/cat {tmp_path}/uuids ;;
            *) exit 2 ;;\nesac\n"""))
        program.chmod(0o755)
    return make


@pytest.fixture
def library(tmp_path, tmp_path_factory):
    """Put a CUDA driver of two GPUs where the loader finds it."""
    gcc = shutil.which("gcc", path=os.defpath + ":/usr/local/bin")
    if not gcc:
        pytest.skip("needs gcc")
    source = tmp_path / "driver.c"
    source.write_text(DRIVER)
    subprocess.run([gcc, "-shared", "-fPIC", "-o", tmp_path / "libraries" / "libcuda.so.1", source], check=True,
                   env={"PATH": os.defpath})


@pytest.mark.parametrize(("capability", "trains", "embeds"), [
    ((3, 5), False, False), ((3, 7), False, False), ((5, 0), True, True), ((5, 2), True, True), ((6, 0), True, True),
    ((6, 1), True, True), ((7, 0), True, True), ((7, 5), True, True), ((8, 0), True, True), ((8, 6), True, True),
    ((8, 9), True, True), ((9, 0), False, True), ((10, 0), False, True), ((12, 0), False, True)])
def test_what_a_card_can_do(capability, trains, embeds):
    """From Kepler to Blackwell."""
    card = Card("a GPU", capability)
    assert (card.trains, card.embeds) == (trains, embeds)


def test_the_cuda_driver(library, monkeypatch):
    assert cards.look() == ((H100, T4), None) and cards.visible() == (H100, T4)
    cards.look.cache_clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert cards.look() == ((T4,), None)


def test_the_cuda_driver_is_asked_before_nvidia_smi(library, nvidia_smi):
    """Its order is MXNet's; nvidia-smi counts by slot."""
    nvidia_smi("0, Tesla T4, 7.5\n1, NVIDIA H100 PCIe, 9.0\n")
    assert cards.visible() == (H100, T4)


def test_a_cuda_driver_that_fails(library, nvidia_smi, monkeypatch):
    monkeypatch.setenv("STATUS", "803")
    assert cards.look() == (None, "the CUDA driver fails with error 803") and cards.visible() == ()
    nvidia_smi(THREE)
    cards.look.cache_clear()
    assert cards.look() == ((H100, T4, A100), None)


def test_a_cuda_driver_without_a_device(library, monkeypatch):
    monkeypatch.setenv("STATUS", "100")
    assert cards.look() == ((), None)


def test_a_cuda_driver_that_hangs(library, nvidia_smi, monkeypatch):
    """nvidia-smi is not waited for as well: it asks the same driver."""
    nvidia_smi(THREE)
    monkeypatch.setenv("HANG", "1")
    monkeypatch.setattr(cards, "SECONDS", 0.5)
    assert cards.look() == (None, "the driver gave no answer in 0.5 s")


def test_no_driver_is_no_problem(monkeypatch):
    monkeypatch.setattr(cards.nvidia, "DRIVER", "libno_such_driver.so.1")
    assert cards.look() == (None, None) and cards.visible() == ()


def test_a_library_that_is_no_driver(nvidia_smi):
    known, problem = cards.look()
    assert known is None and "libcuda.so.1" in problem and len(problem.splitlines()) == 1


def test_the_driver_is_asked_once(nvidia_smi, tmp_path):
    nvidia_smi(body=f"echo asked >> {tmp_path}/times\necho '0, Tesla T4, 7.5'\n")
    assert cards.look() == cards.look() == ((T4,), None)
    assert (tmp_path / "times").read_text() == "asked\n"


@pytest.mark.parametrize(("visible", "wanted"), [
    (None, (H100, T4, A100)), ("2,0", (A100, H100)), (" 1 , 2", (T4, A100)), ("", ()), ("-1", ()), ("1,-1,0", (T4,)),
    ("1,7,0", (T4,)), ("0,0", ()), ("NoDevFiles", ()), ("GPU-bb,0", (T4, H100)), ("GPU-a", ()),
    ("GPU-aa01,GPU-aa02", (H100, A100)), ("0,GPU-aa01", ())])
def test_nvidia_smi_with_a_list_of_visible_devices(nvidia_smi, monkeypatch, visible, wanted):
    """A list ends at its first entry that is no GPU; a GPU that is there twice hides all."""
    nvidia_smi(THREE, uuids="0, GPU-aa01-5\n1, GPU-bb02-5\n2, GPU-aa02-5\n")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert cards.look() == (wanted, None)


def test_nvidia_smi_counts_by_its_numbers(nvidia_smi):
    nvidia_smi("1, Tesla T4, 7.5\n0, NVIDIA H100 PCIe, 9.0\n\n")
    assert cards.visible() == (H100, T4)


@pytest.mark.parametrize("answer", [
    "", "No devices were found\n", "0, Tesla T4, [N/A]\n", "0, Tesla T4\n", "Tesla T4, 7.5\n", "x, Tesla T4, 7.5\n",
    THREE + "Field \"compute_cap\" is not a valid field to query.\n", "0, Tesla T4, 7\n", "\x1b[2J\n", "0, , 7.5\n",
    "9" * 5000 + ", Tesla T4, 7.5\n"])
def test_an_answer_that_makes_no_sense(nvidia_smi, monkeypatch, answer):
    monkeypatch.setattr(cards.nvidia, "DRIVER", "libno_such_driver.so.1")
    nvidia_smi(answer)
    known, problem = cards.look()
    assert known is None and problem.startswith("the answer of nvidia-smi makes no sense")
    assert problem.isprintable() and len(problem) < 200


def test_a_name_from_the_driver_is_printable(nvidia_smi):
    nvidia_smi("0, Te\x1b[2Jsla, T4, 7.5\n")
    assert cards.visible() == (Card(r"Te\x1b[2Jsla, T4", (7, 5)),)


@pytest.mark.parametrize(("body", "wanted"), [
    ("exit 9\n", "nvidia-smi ended with status 9"), ("kill -9 $$\n", "nvidia-smi ended with status -9"),
    ("exec /bin/sleep 60\n", "the driver gave no answer in 1 s")])
def test_an_nvidia_smi_that_fails(nvidia_smi, monkeypatch, body, wanted):
    monkeypatch.setattr(cards.nvidia, "DRIVER", "libno_such_driver.so.1")
    monkeypatch.setattr(cards, "SECONDS", 1)
    nvidia_smi(body=body)
    assert cards.look() == (None, wanted)


def test_an_nvidia_smi_that_cannot_be_started(nvidia_smi, tmp_path, monkeypatch):
    monkeypatch.setattr(cards.nvidia, "DRIVER", "libno_such_driver.so.1")
    nvidia_smi()
    (tmp_path / "programs" / "nvidia-smi").write_bytes(b"\x7fELF")
    assert cards.look() == (None, "nvidia-smi: Exec format error")


def test_parts_of_gpus_are_for_the_cuda_driver(nvidia_smi, monkeypatch):
    monkeypatch.setattr(cards.nvidia, "DRIVER", "libno_such_driver.so.1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-4d806f22")
    nvidia_smi(THREE)
    known, problem = cards.look()
    assert known is None and "MIG" in problem


@pytest.mark.parametrize("answer", ["", "[]", "3", '{"cards": 3}', '{"cards": [["a", 7]]}', "{}",
                                    '{"cards": [["a", "x", 0]]}', '{"cards": [["a", null, 0]]}'])
def test_an_answer_of_the_library_that_makes_no_sense(monkeypatch, answer):
    monkeypatch.setattr(cards, "_run", lambda *arguments: answer)
    known, problem = cards.look()
    assert known is None and problem.startswith("the answer of libcuda.so.1 makes no sense")
