"""The registered pipelines. Imports no torch, so ``kedro registry list`` and ``kedro viz`` start fast."""

from kedro.pipeline import Pipeline

from lottery_pipeline.options import COMPOSITIONS, METHODS
from lottery_pipeline.pipelines.data_preparation.pipeline import create_pipeline as create_data_preparation
from lottery_pipeline.pipelines.dense_pretraining.pipeline import create_pipeline as create_dense_pretraining
from lottery_pipeline.pipelines.ownership_attacks.pipeline import create_pipeline as create_attacks
from lottery_pipeline.pipelines.ownership_verification.pipeline import (
    create_disclosure,
)
from lottery_pipeline.pipelines.ownership_verification.pipeline import (
    create_pipeline as create_verification,
)
from lottery_pipeline.pipelines.reporting.pipeline import create_pipeline as create_reporting
from lottery_pipeline.pipelines.robustness_evaluation.pipeline import create_pipeline as create_robustness
from lottery_pipeline.pipelines.sanity_checks.pipeline import create_pipeline as create_sanity_checks
from lottery_pipeline.pipelines.signature_embedding.pipeline import create_pipeline as create_signature
from lottery_pipeline.pipelines.sparse_retraining.pipeline import create_pipeline as create_sparse_retraining
from lottery_pipeline.pipelines.supertickets_study.pipeline import create_pipeline as create_study
from lottery_pipeline.pipelines.supertickets_transfer.pipeline import create_pipeline as create_transfer
from lottery_pipeline.pipelines.sweep_report.pipeline import create_pipeline as create_sweep_report
from lottery_pipeline.pipelines.ticket_extraction.pipeline import (
    complete_method,
    create_chain,
    create_methods,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Name the pipelines.

    A method's pipeline starts with the images and the dense run; stored ones are reused if they are those
    asked for. The default is a choice of methods, a signature and its verification, the
    robustness of all that, and then the report.
    """
    images, dense = create_data_preparation(), create_dense_pretraining()
    robustness, reporting = create_robustness(), create_reporting()
    blocks = create_methods()
    chosen = [blocks[name] for name, method in METHODS.items() if method.by_default]
    saliency = [blocks[name] for name, method in METHODS.items() if method.is_saliency]
    ownership = [create_signature("cts.ticket", if_possible=True), create_verification(of_this_run=True)]
    # Pipeline([...]), not sum(): sums of many parts are slow.
    return {
        "__default__": Pipeline([images, dense, *chosen, *ownership]) + robustness + reporting,
        "data_preparation": images,
        "dense_pretraining": Pipeline([images, dense]),
        **{name: Pipeline([images, dense, complete_method(name, blocks)]) for name in METHODS},
        **{name: Pipeline([images, dense, create_chain(name)]) for name in COMPOSITIONS},
        "saliency": Pipeline([images, dense, *saliency]),
        "ticket_extraction": Pipeline([images, dense, *blocks.values()]),
        "sparse_retraining": create_sparse_retraining(),
        "sanity_checks": Pipeline([images, dense, create_sanity_checks()]),
        "supertickets_study": Pipeline([images, dense, create_study()]),
        "supertickets_transfer": Pipeline([images, dense, create_transfer()]),
        "signature_embedding": Pipeline([images, dense, create_signature()]),
        "ownership_verification": create_verification(),
        "ownership_attacks": Pipeline([images, dense, create_attacks()]),
        "ownership_disclosure": create_disclosure(),
        "robustness_evaluation": Pipeline([images, dense]) + robustness,
        "reporting": reporting,
        "sweep_report": create_sweep_report(),
    }
