"""Files that are hardened once for all tests that ask them."""

from pathlib import Path

import pytest
from bayes import Bayes, write_world
from guarded import Pair, make_pair

from robustmm.runs import Run


@pytest.fixture(scope="session")
def pair(world: Run, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The small world's model, hardened."""
    return make_pair(world.model, Path(world.read_facts()["manifest"]), tmp_path_factory.mktemp("pair"))


@pytest.fixture(scope="session")
def bayes(tmp_path_factory: pytest.TempPathFactory) -> Bayes:
    return write_world(tmp_path_factory.mktemp("bayes"), M=3)


@pytest.fixture(scope="session")
def three(bayes: Bayes, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Bayes' rule over three modalities, hardened."""
    return make_pair(bayes.model, bayes.manifest, tmp_path_factory.mktemp("three"))


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """Bayes' rule over two modalities, hardened with 120 valid samples."""
    made = write_world(tmp_path_factory.mktemp("two"), M=2, samples=480)
    return make_pair(made.model, made.manifest, made.model.parent)
