"""The versions that pyproject.toml allows are those that the two constraint files test."""

import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.kedro_project import ROOT


def read_requirements() -> list[Requirement]:
    """Return what pyproject.toml asks for, extras too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [
        *project["dependencies"],
        *(line for extra in project["optional-dependencies"].values() for line in extra),
    ]
    return [found for line in lines if (found := Requirement(line)).name != "lottery_pipeline"]


def read_pins(name: str) -> dict[str, Version]:
    """Return the versions of a constraint file by package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(package): Version(version) for package, version in pins}


REQUIREMENTS = read_requirements()


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=[found.name for found in REQUIREMENTS])
def test_the_lowest_version_allowed_is_the_one_that_test_lowest_installs(requirement: Requirement) -> None:
    lowest = read_pins("constraints-lowest.txt")[canonicalize_name(requirement.name)]
    (bound,) = [Version(part.version) for part in requirement.specifier if part.operator in (">=", "==")]

    assert lowest.release[: len(bound.release)] == bound.release


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=[found.name for found in REQUIREMENTS])
def test_the_versions_that_make_installs_are_allowed(requirement: Requirement) -> None:
    assert read_pins("constraints.txt")[canonicalize_name(requirement.name)] in requirement.specifier
