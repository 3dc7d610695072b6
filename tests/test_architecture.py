"""The house rules of the layout, read from the files themselves: who imports whom, and what lies where."""
import ast
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("runtime", "symbols", "datasets", "eval", "recognition", "tools")
MAY_IMPORT = {
    "runtime": {"runtime"},
    "symbols": {"runtime", "symbols"},
    "datasets": {"runtime", "datasets"},
    "eval": {"runtime", "symbols", "datasets", "eval"},
    "recognition": {"runtime", "symbols", "datasets", "eval", "recognition"},
    "tools": {"runtime", "symbols", "datasets", "eval", "recognition", "tools"},
}
COMMANDS = [path for folder in ("datasets", "eval", "recognition", "tools")
            for path in sorted((ROOT / folder).glob("*.py")) if path.name != "__init__.py"]
PACKAGES = [path for folder in ("datasets", "eval", "recognition", "tools")
            for path in sorted((ROOT / folder).iterdir()) if path.is_dir() and list(path.glob("*.py"))]


def modules():
    """Return {module name: path} of all code."""
    found = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path):
    """Return the modules of this project that a file imports, wherever in it the line stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:  # from . import …, which symbols/ uses
                package = path.relative_to(ROOT).parts[:-1]
                base = ".".join([*package, base]).rstrip(".")
            found.update(f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names)
    return {name for name in found if name.split(".")[0] in FOLDERS}


GRAPH = {name: imports(path) for name, path in MODULES.items()}


def circle(graph):
    """Return a list of names that import each other in a circle, or None."""
    done = set()

    def visit(name, way):
        if name in way:
            return [*way[way.index(name):], name]
        if name in done:
            return None
        found = next(filter(None, (visit(other, [*way, name]) for other in sorted(graph.get(name, ())))), None)
        done.add(name)
        return found
    return next(filter(None, (visit(name, []) for name in sorted(graph))), None)


def test_imports_go_in_one_direction():
    wrong = [f"{name} imports {other}" for name, others in GRAPH.items() for other in sorted(others)
             if other.split(".")[0] not in MAY_IMPORT[name.split(".")[0]]]
    assert not wrong


def test_no_module_and_no_folder_imports_in_a_circle():
    assert circle({name: others - {name} for name, others in GRAPH.items() if name != "symbols"}) is None
    folders = defaultdict(set)
    for name, others in GRAPH.items():
        folder = ".".join(name.split(".")[:2])
        if MODULES[name].parent.parent != ROOT:  # one level down
            folders[folder] |= {".".join(other.split(".")[:2]) for other in others} - {folder}
    assert circle(folders) is None


def test_the_circle_finder_finds_one():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_lies_directly_in_a_folder_is_a_command(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    mains = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    assert len(mains) == 1, "a command has one main()"
    arguments = mains[0].args
    assert [argument.arg for argument in arguments.args] == ["arguments"]
    assert [default.value for default in arguments.defaults] == [None]
    assert any(isinstance(node, ast.Name) and node.id == "arguments" and isinstance(node.ctx, ast.Load)
               for node in ast.walk(mains[0])), "main() does not read its arguments"
    assert 'if __name__ == "__main__":\n    run_command(main)\n' in path.read_text(encoding="utf-8")


def test_no_module_imports_a_command():
    """What commands call can be used without them; commands may start one another."""
    commands = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in COMMANDS}
    wrong = [f"{name} imports {other}" for name, others in GRAPH.items() for other in sorted(others & commands)
             if name not in commands]
    assert not wrong


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_says_in_one_sentence_what_belongs_there(package):
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    assert text and "\n" not in text and text.endswith(".") and text.count(". ") == 0
    assert len([path for path in package.glob("*.py") if path.name != "__init__.py"]) > 1, "no folder for one file"


def test_a_test_file_is_named_after_the_file_that_it_tests():
    """In the folders that mirror the code; a folder's own name stands for its `__init__.py`."""
    tests = ROOT / "tests"
    wrong = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in (tests / folder).rglob("test_*.py")
             if path.stem != f"test_{path.parent.name}"
             and not (ROOT / path.relative_to(tests)).with_name(path.name[len("test_"):]).is_file()]
    assert not wrong, "what concerns several files lies directly in tests/, or in tests/faults/"


def test_mxnet_is_imported_through_the_runtime_alone():
    """And gluon-cv, which imports MXNet: `runtime` gives both what NumPy and Python have lost since."""
    wrong = []
    for path in [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else \
                [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if {name.split(".")[0] for name in names} & {"mxnet", "gluoncv"}:
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert all(line.startswith("runtime/__init__.py:") for line in wrong), wrong
    assert len(wrong) == 2


def test_git_ignores_data_and_no_code():
    def ignored(path):
        return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    assert ignored("datasets/faces_emore/train.rec") and ignored("datasets/mine/a/1.jpg") and ignored("models/x/y")
    wrong = [str(path) for path in MODULES.values() if ignored(str(path.relative_to(ROOT)))]
    assert not wrong
    assert not any(ignored(f"{package.relative_to(ROOT)}/new.py") for package in PACKAGES)


def test_only_commands_touch_the_import_path():
    heads = {path.read_text(encoding="utf-8").split('"""\n', 1)[1][:160] for path in COMMANDS}
    assert all(head.startswith("import os, sys  # noqa: E401, I001\nsys.path.insert(0, os.path.dirname(os.path.dirname("
                               "os.path.abspath(__file__))))\n") for head in heads)
    touching = {path for path in MODULES.values() if "sys.path." in path.read_text(encoding="utf-8")}
    assert touching == set(COMMANDS)
