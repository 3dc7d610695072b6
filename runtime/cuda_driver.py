"""Ask the CUDA driver for the machine's GPUs. `runtime.cards` runs this file as a program of its own.

    python -I -S runtime/cuda_driver.py libcuda.so.1

It prints one line of JSON: `{"cards": [["NVIDIA A100-SXM4-40GB", 8, 0]]}`, or `{"error": "why there is no answer"}`.
It is a process of its own because a driver can hang, and a call into a library cannot be given up after a while. The
driver counts GPUs as MXNet does: it follows CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER.
"""
import ctypes
import json
import sys

NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
MAJOR, MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and …_MINOR


class DriverError(Exception):
    """A call into the driver failed. Has the driver's number of the error."""


def call(function, *arguments):
    """Call a function of the driver. Every one returns 0 where it worked."""
    status = function(*arguments)
    if status:
        raise DriverError(status)


def attribute(driver, number, device):
    """Return an attribute of a device, a whole number."""
    value = ctypes.c_int()
    call(driver.cuDeviceGetAttribute, ctypes.byref(value), number, device)
    return value.value


def cards(driver):
    """Return [name, major, minor] of each GPU, in the driver's order."""
    call(driver.cuInit, 0)
    count, device, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    call(driver.cuDeviceGetCount, ctypes.byref(count))
    found = []
    for index in range(count.value):
        call(driver.cuDeviceGet, ctypes.byref(device), index)
        call(driver.cuDeviceGetName, name, len(name), device)
        found.append([name.value.decode("utf-8", "replace"), attribute(driver, MAJOR, device),
                      attribute(driver, MINOR, device)])
    return found


def answer(library):
    """Return what to print, for the name of the driver's library."""
    try:
        return {"cards": cards(ctypes.CDLL(library))}
    except DriverError as error:
        number, = error.args
        return {"cards": []} if number == NO_DEVICE else {"error": f"the CUDA driver fails with error {number}"}
    except (OSError, AttributeError) as error:  # no such library; a library without one of these functions
        return {"error": str(error)}


if __name__ == "__main__":
    print(json.dumps(answer(sys.argv[1])))
