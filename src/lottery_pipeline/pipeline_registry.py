"""The registered pipelines. Imports no torch, so ``kedro registry list`` and ``kedro viz`` start fast."""

from kedro.pipeline import Pipeline

from lottery_pipeline.pipelines.composition.pipeline import COMPOSITIONS, create_composition, create_parent
from lottery_pipeline.pipelines.data_preparation.pipeline import create_pipeline as create_data_preparation
from lottery_pipeline.pipelines.dense_pretraining.pipeline import create_pipeline as create_dense_pretraining
from lottery_pipeline.pipelines.reporting.pipeline import create_pipeline as create_reporting
from lottery_pipeline.pipelines.sanity_checks.pipeline import create_pipeline as create_sanity_checks
from lottery_pipeline.pipelines.sparse_retraining.pipeline import create_pipeline as create_sparse_retraining
from lottery_pipeline.pipelines.ticket_extraction.pipeline import METHODS, SALIENCY, create_method


def register_pipelines() -> dict[str, Pipeline]:
    """Name the pipelines.

    A method's pipeline begins with the images and the dense run; both are reused where the stored ones are
    those asked for. The default is a choice of methods, and then the report.
    """
    images, dense, reporting = create_data_preparation(), create_dense_pretraining(), create_reporting()
    methods = {method.name: create_method(method) for method in METHODS}
    chosen = [methods[method.name] for method in METHODS if method.by_default]
    layer = methods["layer"].only_nodes_with_tags("ticket_extraction")
    parent = Pipeline([images, dense, layer, create_parent("layer")])
    # Pipeline([...]) and not sum(): sums of many parts are slow.
    return {
        "__default__": Pipeline([images, dense, *chosen, reporting]),
        "data_preparation": images,
        "dense_pretraining": Pipeline([images, dense]),
        **{name: Pipeline([images, dense, method]) for name, method in methods.items()},
        "layer": Pipeline([images, dense, methods["layer"], methods["filter"]]),
        "filter": Pipeline([images, dense, layer, methods["filter"]]),
        **{name: Pipeline([parent, create_composition(name)]) for name in COMPOSITIONS},
        "saliency": Pipeline([images, dense, *(methods[name] for name in SALIENCY)]),
        "ticket_extraction": Pipeline([images, dense, *methods.values()]),
        "sparse_retraining": create_sparse_retraining(),
        "sanity_checks": Pipeline([images, dense, create_sanity_checks()]),
        "reporting": reporting,
    }
