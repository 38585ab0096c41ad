"""What users may rely on: a change here is a change for them, and belongs into the changelog."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import udt
from udt import errors


def test_names_of_the_package():
    assert udt.__all__ == ["UDT", "__version__", "load"]
    assert dir(udt) == sorted(udt.__all__)
    with pytest.raises(AttributeError, match=r"module 'udt' has no attribute 'Udt'"):
        _ = udt.Udt


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, udt; print(sorted(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(re.findall(r"\w+", done.stdout))
    assert "udt" in loaded
    assert not loaded & {"numba", "sklearn", "numpy", "pyarrow", "datasets", "typer", "rich"}


def test_parameters_of_the_estimator():
    parameters = inspect.signature(udt.UDT).parameters
    assert list(parameters) == [
        "target",
        "preset",
        "time_limit",
        "max_memory",
        "max_model_size",
        "max_co2",
        "sparsity",
        "width",
        "selector",
        "text",
        "categorical",
        "numeric",
        "date",
        "multi",
        "ignore",
        "multi_label",
        "class_weight",
        "weight",
        "metric",
        "bad_rows",
        "instance",
        "region",
        "country",
        "random_state",
        "n_threads",
    ]
    defaults = {name: p.default for name, p in parameters.items()}
    assert {name for name, value in defaults.items() if value is not None} == {"bad_rows"}
    assert defaults["bad_rows"] == "refuse"
    positional = [n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
    assert positional == ["target"]


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("fit", ["X", "y", "sample_weight", "valid", "test", "on_progress"]),
        (
            "partial_fit",
            ["X", "y", "classes", "sample_weight", "test", "on_progress"],
        ),
        ("predict", ["X", "min_confidence"]),
        ("predict_proba", ["X"]),
        ("predict_top_k", ["X", "k"]),
        ("score", ["X", "y", "sample_weight"]),
        ("evaluate", ["X", "y"]),
        ("save", ["path", "overwrite"]),
    ],
)
def test_methods_of_the_estimator(method, parameters):
    signature = inspect.signature(getattr(udt.UDT, method))
    assert list(signature.parameters)[1:] == parameters


def test_the_estimator_has_no_other_public_method():
    own = {name for name in vars(udt.UDT) if not name.startswith("_")}
    learned = {name for name in own if name.endswith("_")}
    assert own - learned <= {
        "fit", "partial_fit",
        "predict", "predict_proba", "predict_top_k", "explain", "score", "evaluate", "save",
        "set_fit_request", "set_partial_fit_request", "set_predict_request", "set_score_request",
    }  # fmt: skip


def test_parameters_of_load():
    assert list(inspect.signature(udt.load).parameters) == ["path"]


def test_the_drawn_tree_is_the_tree_of_errors():
    """Each line of the drawing: indentation, a name, and other parents in brackets."""
    parents: list[str] = []
    drawn = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"    ([│ ├└─]*)([A-Z]\w+)(?: \((\w+)\))?(?:\s|$)", line)
        if found:
            depth = len(found[1]) // 4
            parents[depth:] = [found[2]]
            drawn[found[2]] = {*parents[-2:-1], *filter(None, [found[3]])}
    defined = {
        name: {base.__name__ for base in value.__bases__}
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert drawn.pop("UDTError") == set()
    assert defined.pop("UDTError") == {"Exception"}
    assert drawn == defined
