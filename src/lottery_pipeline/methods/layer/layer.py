"""Layer tickets (Jordao et al., arXiv 2301.10835): residual blocks go and the others keep their weights.

Algorithm 2, the paper's proposal, ranks the blocks at theta_0; algorithm 1 at theta_T. The p least important
go. The smaller network, whose kept weights are those of theta_0 bit for bit, is trained. The mask of the
ticket is all ones: the network itself is smaller.

The paper has no code. Which blocks may go and how many a stage keeps follows the code of the same group's
later papers (``models/blocks.py``); how scores of weights become the score of a block is our choice
(``criteria.py``). Weight rewinding and learning-rate rewinding, which the paper mixes, are two modes. The
iterative search is that of arXiv 2405.17081, the consensus of criteria that of arXiv 2411.14345.
"""

from lottery_pipeline.methods.layer.criteria import try_criterion
from lottery_pipeline.methods.layer.removal import (
    keep_tensors,
    remove_at_once,
    remove_one_by_one,
    without_blocks,
)
from lottery_pipeline.methods.layer.selection import plan_removal
from lottery_pipeline.models.blocks import list_candidates
from lottery_pipeline.models.names import ModelError
from lottery_pipeline.models.prunable import prunable_parameters
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.options.layer import LayerOptions
from lottery_pipeline.reproducibility.seeds import derive_seed
from lottery_pipeline.search.extraction import Extraction, Search, StartPoint
from lottery_pipeline.search.outlook import Outlook
from lottery_pipeline.search.trial import UnfitError
from lottery_pipeline.sparsity.masks import full_masks
from lottery_pipeline.tickets.errors import TicketError


def extract_layer(search: Search, options: LayerOptions) -> Extraction:
    """Find a ticket by removing residual blocks.

    Args:
        search: its dense run is a residual network; it may lack blocks already, as that of an earlier layer
            ticket does. The recipe, except for its length and schedule, is that of the fine-tuning between
            removals. The seed determines the drawn images (those of SNIP), ``random``, the fine-tuning and
            fresh weights. An iterative search saves a checkpoint after every removal and inside fine-tunings,
            and calls ``on_record("fine_tuning_01", row)``.
        options: criterion, how many blocks, and where the rest starts.

    Returns:
        The ticket. Its trace has a row for each candidate of each round: block, stage, scores, rank (1 goes
        first), removed. A forward pass over the drawn images costs a third of a training step's; kl and cka
        need one for each candidate and one more.

    Raises:
        TicketError: more blocks must go than can, or the scores rank nothing.
        ModelError: the network has no residual block with an identity shortcut.
    """
    dense, factory = search.dense, search.allow_factory
    full = build_model(dense.spec, seed=0, device="meta", allow_factory=factory)
    demand = plan_removal(full, options, (search.images.channels, *search.images.image_size))
    remove = remove_one_by_one if options.iterative else remove_at_once
    removal = remove(search, options, demand)
    spec = without_blocks(dense.spec, removal.gone, factory)
    draw = derive_seed(search.seed, "layer", "reinitialisation")
    fresh = build_model(spec, seed=draw, allow_factory=factory)
    start = StartPoint(0, fresh.state_dict())
    if options.rewinding == "weights":
        step, whole = search.start(options.start)
        start = StartPoint(step, keep_tensors(whole, start.state))
    elif options.rewinding == "learning_rate":
        start = StartPoint(0, keep_tensors(removal.state, start.state))
    masks = full_masks(prunable_parameters(fresh, spec.ignore_layers))
    ticket = search.make_ticket("layer", masks, start, spec)
    return Extraction(ticket, removal.epochs, removal.seconds, trace=removal.trace)


def check_layer(outlook: Outlook, options: LayerOptions) -> None:
    """Refuse, before anything runs, to remove more blocks than the network can spare, or to rank them.

    Raises:
        UnfitError: the network can spare fewer, it has no residual blocks, or a criterion cannot score them.
    """
    trial, spec = outlook.trial, outlook.spec
    if trial is None:
        return
    try:
        plan_removal(trial.model, options, (spec.channels, *spec.image_size))
    except ModelError as error:
        raise UnfitError(f"{error}; or set layer.extraction.removed to 0, which leaves it whole") from error
    except TicketError as error:
        raise UnfitError(str(error)) from error
    if options.removed == 0:
        return
    candidates = list_candidates(trial.model, with_first_block=options.allow_first_block_of_stage1)
    names = [block.name for block in candidates]
    for criterion in options.criterion:
        try_criterion(criterion, trial, names, batch_statistics=options.batch_statistics)
