"""What several tests of runtime/ share."""
import os
import subprocess
import sys

import pytest


@pytest.fixture
def python(root):
    """Run code in a process of its own: python(code, *python's flags, path=folders that come first, **environment)."""
    def run(code, *flags, path=(), **environment):
        clean = {name: value for name, value in os.environ.items()
                 if name not in ("OMP_NUM_THREADS", "MXNET_SUBGRAPH_VERBOSE", "LD_LIBRARY_PATH")}
        clean["PYTHONPATH"] = os.pathsep.join(map(str, (*path, root)))
        return subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, cwd=os.path.sep,
                              env={**clean, **environment}, timeout=120)
    return run
