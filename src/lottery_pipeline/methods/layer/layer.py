"""Layer tickets (Jordao et al., arXiv 2301.10835): residual blocks go, the others keep their weights.

Algorithm 2, the paper's proposal, ranks the blocks at theta_0; algorithm 1 at theta_T. The p least important
go, and the smaller network, its kept weights those of theta_0 bit for bit, is trained. The mask of the ticket
is all ones: the network itself is smaller.

The paper has no code. Which blocks may go and how many a stage keeps follows the code of the same group's
later papers (``models/blocks.py``); how scores of weights become one of a block is ours
(``layer_criteria.py``). Weight rewinding and learning-rate rewinding, which the paper mixes, are two modes.
The iterative search is that of arXiv 2405.17081, the consensus of criteria that of arXiv 2411.14345.
"""

from lottery_pipeline.images.splits import ImageSplits
from lottery_pipeline.methods.layer.layer_search import LayerSearch, keep_tensors, without_blocks
from lottery_pipeline.methods.layer.removal import remove_at_once, remove_one_by_one
from lottery_pipeline.methods.layer.selection import plan_removal
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.reproducibility.checkpoints import Checkpoints
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Extraction, check_dense_run, start_point
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.tickets.ticket import make_ticket
from lottery_pipeline.training.dense import DenseRun
from lottery_pipeline.training.recipe import Recipe
from lottery_pipeline.training.result import OnLabelledRecord


def extract_layer(
    images: ImageSplits,
    dense: DenseRun,
    recipe: Recipe,
    *,
    seed: int,
    options: LayerOptions,
    device: str = "auto",
    checkpoints: Checkpoints | None = None,
    on_record: OnLabelledRecord | None = None,
    allow_factory: str | None = None,
) -> Extraction:
    """Find a ticket by removing residual blocks.

    Args:
        images: what the dense run was trained on; the training part is drawn from, without augmentation.
        dense: a residual network; it may lack blocks already, as that of an earlier layer ticket does.
        recipe: of the fine-tuning between removals, but for its length and schedule; else not used.
        seed: of the drawn images (those of SNIP), of ``random``, of fine-tuning and of fresh weights.
        options: criterion, how many blocks, and where the rest starts.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        checkpoints: where an iterative search saves after every removal and inside fine-tunings.
        on_record: called as ``on_record("fine_tuning_01", row)``; after a resume all rows come again.
        allow_factory: the trusted ``package.module:factory``, where the model is one.

    Returns:
        The ticket. Its trace has a row for each candidate of each round: block, stage, scores, rank (1 goes
        first), removed. A forward pass over the drawn images, of which kl and cka need one for each candidate
        and one more, costs a third of a training step's.

    Raises:
        TicketError: the dense run is of other images, more is to go than can, or scores rank nothing.
        ModelError: the network has no residual block with an identity shortcut.
    """
    check_dense_run(dense, images)
    full = build_model(dense.spec, seed=0, device="meta", allow_factory=allow_factory)
    demand = plan_removal(full, options, (images.channels, *images.image_size))
    search = LayerSearch(images, dense, recipe, options, seed, device, allow_factory)
    if options.iterative:
        removal = remove_one_by_one(search, demand, checkpoints, on_record)
    else:
        removal = remove_at_once(search, demand)
    spec = without_blocks(dense.spec, removal.gone, allow_factory)
    fresh = build_model(
        spec, seed=derive_seed(seed, "layer", "reinitialisation"), allow_factory=allow_factory
    )
    step, state = 0, fresh.state_dict()
    if options.rewinding == "weights":
        step, start = start_point(dense, options.start)
        state = keep_tensors(start, state)
    elif options.rewinding == "learning_rate":
        state = keep_tensors(removal.state, state)
    ticket = make_ticket(
        method="layer",
        spec=spec,
        masks=full_masks(prunable_parameters(fresh, spec.ignore_layers)),
        state=state,
        seed=seed,
        rewind_step=step,
        parents={"dense": dense.fingerprint, "images": images.fingerprint},
        allow_factory=allow_factory,
    )
    return Extraction(ticket, removal.epochs, removal.seconds, trace=removal.trace)
