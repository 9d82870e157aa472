"""The catalog: everything a pipeline reads or writes is an entry, and results lie where the contract says."""

from typing import Any

import pytest

from lottery_pipeline.datasets.local_files import LocalFileDataset
from lottery_pipeline.datasets.ownership import OwnerDataset
from lottery_pipeline.datasets.raw_images import RawImagesDataset
from lottery_pipeline.datasets.stored_results import StoredResultsDataset
from lottery_pipeline.datasets.stored_tickets import StoredTicketsDataset
from lottery_pipeline.images.request import ImageRequest
from lottery_pipeline.options import ControlOptions, CtsOptions, GraspOptions, ImpOptions, SanityOptions
from lottery_pipeline.options.supertickets_study import StudyOptions
from lottery_pipeline.options.supertickets_transfer import TransferOptions
from lottery_pipeline.options.sweep_report import SweepReportOptions
from lottery_pipeline.parameters import (
    ModelParameters,
    PretrainingParameters,
    RetrainingParameters,
    SparseRetrainingParameters,
    WorkParameters,
)
from lottery_pipeline.pipeline_registry import register_pipelines
from tests.kedro_project import ROOT, load_catalog

PIPELINES = register_pipelines()


@pytest.fixture(scope="module")
def catalog() -> Any:
    return load_catalog()


@pytest.mark.parametrize("name", list(PIPELINES))
def test_every_input_is_an_entry_or_a_parameter(name: str, catalog: Any) -> None:
    for dataset in PIPELINES[name].inputs():
        assert dataset in catalog, dataset
        known = (LocalFileDataset, OwnerDataset, RawImagesDataset, StoredResultsDataset, StoredTicketsDataset)
        assert dataset.startswith("param") or isinstance(catalog.get(dataset), known)


@pytest.mark.parametrize("name", list(PIPELINES))
def test_every_output_is_a_file(name: str, catalog: Any) -> None:
    for dataset in PIPELINES[name].all_outputs():
        assert isinstance(catalog.get(dataset), LocalFileDataset), dataset


def test_no_two_outputs_share_a_file(catalog: Any) -> None:
    outputs = set().union(*(pipeline.all_outputs() for pipeline in PIPELINES.values()))
    names: dict[Any, set[str]] = {}
    for name in outputs:
        names.setdefault(catalog.get(name).path, set()).add(name)
    # A sweep has a variant of its own; preflight refuses a run that would write both.
    assert [shared for shared in names.values() if len(shared) > 1] == [{"report", "sweep_report.page"}]


@pytest.mark.parametrize(
    ("dataset", "path"),
    [
        ("ltr.ticket", "06_models/test/base/ltr/ticket.safetensors"),
        ("leaderboard", "08_reporting/test/base/leaderboard.csv"),
        ("report", "08_reporting/test/base/report.html"),
        ("sweep_report.page", "08_reporting/test/base/report.html"),
        ("sweep_report.rows", "08_reporting/test/base/sweep_results.parquet"),
        ("sweep_report.cells", "08_reporting/test/base/sweep_cells.csv"),
        ("sweep_report.differences", "08_reporting/test/base/sweep_differences.csv"),
    ],
)
def test_results_lie_where_the_contract_says(dataset: str, path: str, catalog: Any) -> None:
    assert catalog.get(dataset).path.as_posix().endswith(path)


@pytest.mark.parametrize(
    ("group", "kind"),
    [
        ("data", ImageRequest),
        ("model", ModelParameters),
        ("pretraining", PretrainingParameters),
        ("retraining", RetrainingParameters),
        ("sparse_retraining", SparseRetrainingParameters),
        ("lth.extraction", ImpOptions),
        ("ltr.controls", ControlOptions),
        ("cts.extraction", CtsOptions),
        ("grasp.extraction", GraspOptions),
        ("sanity_checks", SanityOptions),
        ("supertickets_study", StudyOptions),
        ("supertickets_transfer", TransferOptions),
        ("sweep_report", SweepReportOptions),
        ("work", WorkParameters),
    ],
)
def test_kedro_itself_types_the_parameters_by_the_signatures_of_the_nodes(
    group: str, kind: type, catalog: Any
) -> None:
    assert type(catalog.load(f"params:{group}")) is kind


def test_relative_paths_start_at_the_project(catalog: Any) -> None:
    assert catalog.get("dense_run").path.is_absolute()


def test_tickets_are_versioned_and_what_is_reused_is_not(catalog: Any) -> None:
    assert catalog.get("ltr.ticket")._version is not None
    assert catalog.get("dense_run")._version is None


def test_what_is_looked_for_as_finished_work_is_what_the_catalog_writes(catalog: Any) -> None:
    work = catalog.load("params:work")
    assert work.images == catalog.get("images").path
    assert work.models / "dense_run.safetensors" == catalog.get("dense_run").path
    assert work.models / "layer" / "parent_run.safetensors" == catalog.get("layer.parent_run").path
    assert work.checkpoints == ROOT / "data/work/test/base"


def test_the_selected_ticket_is_that_of_the_chosen_method() -> None:
    chosen = load_catalog(ticket="lth")
    assert chosen.get("selected_ticket").path == chosen.get("lth.ticket").path
    assert chosen.get("selected_ladder").path == chosen.get("lth.ladder").path


def test_nothing_is_written_outside_data() -> None:
    catalog = load_catalog()
    outputs = set().union(*(pipeline.all_outputs() for pipeline in PIPELINES.values()))
    files = [catalog.get(name) for name in outputs]
    assert all(file.path.is_relative_to(ROOT / "data") for file in files)
