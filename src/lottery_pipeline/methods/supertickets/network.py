"""The network that a joint search starts from."""

from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.choice import choose_supernet
from lottery_pipeline.options.supertickets import SuperticketOptions
from lottery_pipeline.options.task import TaskName


def specify_supernet(spec: ModelSpec, options: SuperticketOptions, task: TaskName) -> ModelSpec:
    """Return the specification of the whole supernet that is searched.

    Args:
        spec: of the network in ``model.name``, which is taken if the options name no supernet.
        options: of the search.
        task: of the images.

    Raises:
        ModelError: the options name no valid supernet.
    """
    if options.supernet is None:
        return spec.restored()
    supernet = choose_supernet(options.supernet, task=task)
    return spec.for_network("supernet", supernet=supernet, ignore_layers=options.ignore_layers)
