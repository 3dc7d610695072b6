"""What MXNet can do here, tried one thing after another; a line of JSON for each: [name, state, found, what to do].

tools/doctor.py runs this in a process of its own, since a broken installation can end it at any line.
"""
import ctypes
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import numpy as np

from runtime import ROOT, cores, mx, nvidia, run_command
from runtime.devices import usable_gpus

REINSTALL = "install MXNet as requirements.txt names it: `make setup`"
DRIVER = "install NVIDIA's driver 520.61 or later; `nvidia-smi` has to list the GPU"
CUDA_11_8 = 11080  # as the driver counts

# One worker sums with one server; the other two roles live in the import.
WORKER = """
from runtime import mx
store = mx.kv.create("dist_sync")
store.init(0, mx.nd.zeros(3))
store.push(0, mx.nd.ones(3))
pulled = mx.nd.zeros(3)
store.pull(0, out=pulled)
assert pulled.asnumpy().tolist() == [1, 1, 1], pulled
"""


def enabled(feature):
    """Return whether MXNet was built with a feature."""
    return mx.runtime.Features().is_enabled(feature)


def convolve(context):
    """Convolve forward and backward on a device, and compare with NumPy."""
    rng = np.random.RandomState(0)
    image, weight = rng.randn(2, 16, 8, 8).astype(np.float32), rng.randn(16, 16, 1, 1).astype(np.float32)
    data, kernel = mx.nd.array(image, ctx=context), mx.nd.array(weight, ctx=context)
    data.attach_grad()
    with mx.autograd.record():
        output = mx.nd.Convolution(data, kernel, no_bias=True, kernel=(1, 1), num_filter=16)
    output.backward()
    np.testing.assert_allclose(output.asnumpy(), np.einsum("nchw,kc->nkhw", image, weight[:, :, 0, 0]), rtol=1e-2,
                               atol=1e-2)  # loose, for GPUs round to TF32
    np.testing.assert_allclose(data.grad.asnumpy()[0, :, 0, 0], weight.sum(0)[:, 0, 0], rtol=1e-2, atol=1e-2)


def threads():
    """CPU threads: as many as there are processors for this process."""
    found = f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']} on {cores()} processors"
    if os.environ["OMP_NUM_THREADS"] == str(cores()):
        return "ok", found, ""
    return "note", found, "unset OMP_NUM_THREADS for full speed: the commands set it to the number of processors"


def mkldnn():
    """The library behind fast convolutions on a CPU."""
    if not enabled("MKLDNN"):
        return "note", "MXNet was built without it: convolutions on the CPU are slow", REINSTALL
    convolve(mx.cpu())
    if os.environ.get("MXNET_MKLDNN_ENABLED") == "0":
        return "note", "switched off by MXNET_MKLDNN_ENABLED=0", "unset MXNET_MKLDNN_ENABLED"
    return "ok", "a convolution and its gradient agree with NumPy", ""


def picture():
    """Return a smooth RGB picture (112, 112, 3) and its JPEG."""
    import cv2
    ramp = np.arange(112, dtype=np.uint8)
    image = np.dstack([np.tile(ramp, (112, 1)), np.tile(2 * ramp[:, None], 112), np.full((112, 112), 60, np.uint8)])
    return image, cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def opencv():
    """OpenCV for Python, which reads and writes images outside the training loop."""
    try:
        import cv2
    except ImportError as error:
        system = "libGL" in str(error) or "libgthread" in str(error) or "libglib" in str(error)
        return "fails", str(error), ("apt-get install libgl1 libglib2.0-0, or your system's packages of them" if system
                                     else "pip install -r requirements-common.txt")
    picture()
    return "ok", f"{cv2.__version__}, writes a JPEG", ""


def decoding():
    """MXNet's own decoder."""
    if not enabled("OPENCV"):
        return "fails", "MXNet was built without OpenCV and cannot decode images", REINSTALL
    image, jpeg = picture()
    error = np.abs(mx.image.imdecode(jpeg).asnumpy().astype(int) - image).mean()
    if error > 4:
        return "fails", f"a decoded JPEG is {error:.0f} gray levels off", REINSTALL
    return "ok", "mx.image.imdecode returns the picture that was encoded", ""


def record_iterator():
    """The iterator behind training, over a record file that is made for it."""
    image, jpeg = picture()
    with tempfile.TemporaryDirectory() as folder:
        index, record = os.path.join(folder, "four.idx"), os.path.join(folder, "four.rec")
        writer = mx.recordio.MXIndexedRecordIO(index, record, "w")
        for key in range(4):
            writer.write_idx(key, mx.recordio.pack(mx.recordio.IRHeader(0, float(key), key, 0), jpeg))
        writer.close()
        batches = mx.io.ImageRecordIter(path_imgrec=record, path_imgidx=index, data_shape=(3, 112, 112), batch_size=2,
                                        preprocess_threads=2, verbose=False)
        labels = [label for batch in batches for label in batch.label[0].asnumpy().tolist()]
        batches.reset()
        error = np.abs(next(batches).data[0].asnumpy()[0].transpose(1, 2, 0) - image).mean()
        del batches  # before its files
    if sorted(labels) != [0, 1, 2, 3] or error > 4:
        return "fails", f"labels 0 to 3 came back as {labels}, pixels {error:.0f} gray levels off", REINSTALL
    return "ok", "ImageRecordIter reads a record file", ""


def gpus():
    """CUDA and cuDNN: a convolution on each device."""
    if not enabled("CUDA"):
        return "absent", "this is MXNet's CPU build", "for a GPU: make setup REQUIREMENTS=requirements-cu112.txt"
    version = ctypes.c_int()
    ctypes.CDLL(nvidia.DRIVER).cuDriverGetVersion(ctypes.byref(version))
    driver = f"the driver knows CUDA {version.value // 1000}.{version.value % 1000 // 10}"
    count = mx.context.num_gpus()
    if not count:
        hidden = "CUDA_VISIBLE_DEVICES" in os.environ
        return ("fails", f"the GPU build sees no device ({driver}"
                + (f"; CUDA_VISIBLE_DEVICES={os.environ['CUDA_VISIBLE_DEVICES']}" if hidden else "") + ")",
                "unset CUDA_VISIBLE_DEVICES" if hidden else DRIVER)
    usable = usable_gpus()
    if not usable:
        return "note", f"MXNet can use none of the GPUs ({driver})", "see the GPUs below for what each can do"
    for index in usable:
        convolve(mx.gpu(index))
    memory = ", ".join(f"gpu:{index} {mx.context.gpu_memory_info(index)[1] / 2**30:.0f} GiB" for index in usable)
    found = f"{memory}; {'cuDNN' if enabled('CUDNN') else 'no cuDNN'}; {driver}"
    return ("ok", found, "") if version.value >= CUDA_11_8 else ("note", found, DRIVER)


def distributed(worker=WORKER):
    """The kvstore for several machines, with scheduler, server and worker on this one."""
    if not enabled("DIST_KVSTORE"):
        return "absent", "MXNet was built without it: training stays on one machine", REINSTALL
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    about = dict(os.environ, DMLC_PS_ROOT_URI="127.0.0.1", DMLC_PS_ROOT_PORT=str(port), DMLC_NODE_HOST="127.0.0.1",
                 DMLC_NUM_WORKER="1", DMLC_NUM_SERVER="1", OMP_NUM_THREADS="1")
    begun = time.monotonic()
    others = [subprocess.Popen([sys.executable, "-c", "from runtime import mx"], cwd=ROOT, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, env=dict(about, DMLC_ROLE=role))
              for role in ("scheduler", "server")]
    try:
        done = subprocess.run([sys.executable, "-c", worker], cwd=ROOT, env=dict(about, DMLC_ROLE="worker"),
                              capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "note", "dist_sync over 127.0.0.1 had no answer in 60 s", "let processes connect to 127.0.0.1 (firewall)"
    finally:
        for other in others:
            other.kill()
            other.wait()
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        return "note", f"dist_sync over 127.0.0.1: {reason}", REINSTALL
    return "ok", f"dist_sync over 127.0.0.1, {time.monotonic() - begun:.1f} s", ""


PROBES = {"CPU threads": threads, "MKLDNN": mkldnn, "OpenCV": opencv, "decoding": decoding,
          "record iterator": record_iterator, "CUDA devices": gpus, "distributed kvstore": distributed}


def main():
    print(json.dumps(["MXNet", "ok", mx.__version__, ""]), flush=True)
    for name, probe in PROBES.items():
        try:
            row = probe()
        except Exception as error:
            row = "fails", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}", REINSTALL
        print(json.dumps([name, *row]), flush=True)


if __name__ == "__main__":
    run_command(main)
