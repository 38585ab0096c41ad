"""What every kernel keeps to, and what importing and asking for help may cost."""

from __future__ import annotations

import ast
import builtins
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import udt
from tests.conftest import WITHOUT_JIT

ROOT = Path(udt.__file__).parent
KERNEL_FILES = sorted(p for p in ROOT.rglob("*.py") if "@jit(" in p.read_text("utf-8"))
RUN = Path(__file__).parent / "fit_and_predict.py"


class Module:
    """A file's kernels, and where its names come from."""

    def __init__(self, source: str) -> None:
        self.tree = ast.parse(source)
        self.kernels: dict[str, ast.FunctionDef] = {}
        self.imported: dict[str, str] = {}
        self.values: dict[str, ast.expr] = {}
        blocks = [node.body for node in self.tree.body if isinstance(node, ast.If)]
        for node in itertools.chain(self.tree.body, *blocks):
            if isinstance(node, ast.FunctionDef) and any(map(_is_jit, node.decorator_list)):
                self.kernels[node.name] = node
            elif isinstance(node, ast.Import):
                self.imported |= {a.asname or a.name: a.name for a in node.names}
            elif isinstance(node, ast.ImportFrom):
                self.imported |= {a.asname or a.name: str(node.module) for a in node.names}
            elif isinstance(node, ast.Assign):
                for name in _names(node.targets):
                    self.values[name] = node.value

    def uses(self, kernel: str) -> set[str]:
        """Return the names from outside that a kernel reads."""
        node = self.kernels[kernel]
        own = {a.arg for a in node.args.args}
        own |= {n.id for n in ast.walk(node) if _is_name(n, ast.Store)}
        body = ast.Module(node.body, [])
        return {n.id for n in ast.walk(body) if _is_name(n, ast.Load)} - own

    def foreign(self, kernel: str) -> set[str]:
        """Return what a kernel reads from another file of udt, also by way of a constant.

        A prefetch is excepted: it is a hint, and code that is out of date asks for other memory.
        """
        seen: set[str] = set()
        new = self.uses(kernel) | set(_names([*self.kernels[kernel].decorator_list])) - {"jit"}
        while new:
            seen |= new
            values = [self.values[name] for name in new if name in self.values]
            new = set(_names(values)) - seen
        seen -= {"prefetch"}
        return {n for n in seen if self.imported.get(n, "").split(".")[0] == "udt"}


def _is_jit(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "jit"


def _is_name(node: ast.AST, context: type[ast.expr_context]) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, context)


def _names(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        yield from (n.id for n in ast.walk(node) if isinstance(n, ast.Name))


def run_python(*arguments: str, **environ: str) -> str:
    """Return what a process of its own prints, with the udt that is tested here."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT.parent), **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- What a kernel may use -------------------------------------------------------------------------


def test_there_are_kernels():
    names = {p.relative_to(ROOT).as_posix() for p in KERNEL_FILES}
    assert {"engine/kernels.py", "featurizers/tokens.py", "featurizers/vocabulary.py"} <= names


@pytest.mark.parametrize("path", KERNEL_FILES, ids=lambda p: p.stem)
def test_a_kernel_uses_its_own_file_only(path):
    """The disk cache looks at the kernel's file; changes in others would go unnoticed."""
    module = Module(path.read_text("utf-8"))
    for kernel in module.kernels:
        assert not module.foreign(kernel), kernel
        for name in (module.uses(kernel) & module.imported.keys()) - {"prefetch"}:
            assert module.imported[name] == "numpy", (kernel, name)


@pytest.mark.parametrize("path", KERNEL_FILES, ids=lambda p: p.stem)
def test_a_kernel_calls_kernels_and_no_other_function_of_its_file(path):
    module = Module(path.read_text("utf-8"))
    functions = {n.name for n in module.tree.body if isinstance(n, ast.FunctionDef)}
    intrinsics = {n for n, v in module.values.items() if "intrinsic" in _names([v])}
    plain = functions - module.kernels.keys() - intrinsics
    for kernel in module.kernels:
        assert not module.uses(kernel) & plain, kernel
        known = {*functions, *module.values, *module.imported, *dir(builtins)}
        assert module.uses(kernel) <= known, kernel


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: p.stem)
def test_no_flag_hides_lost_numbers(path):
    """``fastmath=True`` makes isnan always false; parallel kernels abort or hang some processes."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.keyword) and node.arg in ("fastmath", "parallel", "locals"):
            assert not isinstance(node.value, ast.Constant), (path, node.arg)
        if isinstance(node, ast.Attribute) and node.attr in ("njit", "jit", "vectorize", "prange"):
            assert path.name == "_jit.py", (path, node.attr)


@pytest.mark.parametrize(
    ("source", "foreign"),
    [
        ("from udt.other import f\n@jit()\ndef g(x):\n    return f(x)\n", {"f"}),
        ("from udt import other\nN = other.N\n@jit()\ndef g(x):\n    return x + N\n", {"other"}),
        ("from udt.a import F\n@jit(fastmath=F)\ndef g(x):\n    return x\n", {"F"}),
        ("from udt.a import x\n@jit()\ndef g(x):\n    y = x\n    return y\n", set()),
        ("import numpy as np\nN = np.int64(3)\n@jit()\ndef g(x):\n    return np.abs(N)\n", set()),
    ],
)
def test_the_rule_itself(source, foreign):
    assert Module(source).foreign("g") == foreign


# -- One signature each ----------------------------------------------------------------------------


def signatures(**environ: str) -> dict[str, int]:
    """Fit, save, load and predict in a process of its own; return each kernel's signatures."""
    counts: dict[str, int] = json.loads(run_python(str(RUN), **environ).splitlines()[-1])
    return counts


def outermost() -> set[str]:
    """Return the kernels that Python calls: those that no other kernel calls."""
    names: set[str] = set()
    for path in KERNEL_FILES:
        module = Module(path.read_text("utf-8"))
        called = set().union(*map(module.uses, module.kernels))
        names |= {f"{path.stem}.{kernel}" for kernel in module.kernels.keys() - called}
    return names


@pytest.mark.skipif(WITHOUT_JIT, reason="nothing is compiled")
def test_each_kernel_has_one_signature():
    """Each other signature costs a second of compiling: one contract on types and layouts."""
    counts = signatures()
    assert {name: n for name, n in counts.items() if n > 1} == {}
    assert {name for name, n in counts.items() if n == 1} >= outermost()


@pytest.mark.slow
@pytest.mark.skipif(WITHOUT_JIT, reason="nothing is compiled")
def test_each_kernel_has_one_signature_when_compiled_anew(tmp_path):
    """Inner kernels have signatures only where nothing comes from a cache."""
    counts = signatures(NUMBA_CACHE_DIR=str(tmp_path))
    assert {name: n for name, n in counts.items() if n != 1} == {}


# -- Budgets ---------------------------------------------------------------------------------------


def test_importing_udt_loads_nothing_heavy():
    code = "import sys, udt; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = set(run_python("-c", code).split())
    assert "udt" in loaded
    assert not loaded & {"numba", "sklearn", "pyarrow", "numpy", "typer", "datasets"}


def test_help_answers_at_once():
    """Well below half a second; 0.3 s on the machine it was made on."""
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        assert "train" in run_python("-m", "udt", "--help")
        seconds.append(time.perf_counter() - started)
    assert statistics.median(seconds) < 0.6
