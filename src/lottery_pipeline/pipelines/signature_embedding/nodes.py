"""Nodes of signature embedding."""

import logging
from functools import partial
from typing import Any

from lottery_pipeline.evaluation.lineage import mark_rows
from lottery_pipeline.options.ownership import NOT_SIGNED, SignatureOptions
from lottery_pipeline.parameters import PretrainingParameters, RetrainingParameters, WorkParameters
from lottery_pipeline.tracking import current

logger = logging.getLogger(__name__)

BLOCK = "signature_embedding"


def commit_ticket(
    unsigned: Any, images: Any, owner: Any, signature_embedding: SignatureOptions, work: WorkParameters
) -> Any:
    """Sign and date what is known of the ticket before it is marked; a stored commitment to it is kept."""
    from lottery_pipeline.ownership.commitment import commit_ticket as commit
    from lottery_pipeline.ownership.credential import read_bundle
    from lottery_pipeline.ownership.signing import find_trigger_root

    path = work.models / BLOCK / "commitment.json"
    return commit(
        unsigned,
        owner,
        signature_embedding,
        find_trigger_root=partial(find_trigger_root, images=images, options=signature_embedding),
        stored=read_bundle(path) if path.is_file() else None,
    )


def commit_if_possible(
    unsigned: Any, images: Any, owner: Any, signature_embedding: SignatureOptions, work: WorkParameters
) -> Any:
    """Commit to the ticket; return None if it has no room for a mark, so that the run can do without."""
    from lottery_pipeline.ownership.errors import NoRoomError

    try:
        return commit_ticket(unsigned, images, owner, signature_embedding, work)
    except NoRoomError as error:
        logger.warning("The %s ticket is not signed: %s.", unsigned.method, error)
        return None


def sign_ticket(
    unsigned: Any,
    dense_run: Any,
    images: Any,
    commitment: Any,
    owner: Any,
    signature_embedding: SignatureOptions,
    seed: int,
    device: str,
    work: WorkParameters,
) -> tuple[Any, dict[str, Any]]:
    """Write the mark into the mask of the ticket."""
    if commitment is None:
        return None, {}
    from lottery_pipeline.ownership.commitment import find_secrets
    from lottery_pipeline.ownership.signing import sign_ticket as sign
    from lottery_pipeline.search.composition import find_own_run

    signed, mark, edits = sign(
        unsigned,
        find_own_run(unsigned, dense_run, work.models),
        images,
        commitment,
        find_secrets(owner.key, commitment.commitment).mask_key,
        signature_embedding,
        seed=seed,
        device=device,
    )
    return signed, {"groups": mark.count, "edits": edits, "trial": mark.trial, "ticket": signed.fingerprint}


def retrain_ticket(
    ticket: Any,
    images: Any,
    commitment: Any,
    mark: dict[str, Any],
    owner: Any,
    signature_embedding: SignatureOptions,
    pretraining: PretrainingParameters,
    retraining: RetrainingParameters,
    seed: int,
    device: str,
    work: WorkParameters,
) -> tuple[Any, list[dict[str, Any]]]:
    """Train the signed ticket: trigger images join its batches, and its carriers are kept from dying."""
    if ticket is None:
        return None, []
    from lottery_pipeline.ownership.signing import train_signed

    trained = train_signed(
        ticket,
        images,
        retraining.recipe(pretraining),
        commitment,
        owner.key,
        signature_embedding,
        trial=mark["trial"],
        seed=seed,
        device=device,
        checkpoints=work.open_checkpoints(),
        on_record=partial(current().log_row, BLOCK, "training"),
    )
    return trained.ticket, mark_rows(trained.history, trained.ticket.fingerprint)


def publish_ticket(
    trained_ticket: Any,
    images: Any,
    commitment: Any,
    mark: dict[str, Any],
    owner: Any,
    signature_embedding: SignatureOptions,
    device: str,
) -> Any:
    """Sign and date what came out, and lay it out for publication."""
    if trained_ticket is None:
        return None
    from lottery_pipeline.ownership.claims import Claim
    from lottery_pipeline.ownership.signing import publish_ticket as publish
    from lottery_pipeline.training.device import pick_device
    from lottery_pipeline.training.evaluation import evaluate

    place = pick_device(device)
    accuracy = evaluate(trained_ticket.build(place), images.test, device=place)["accuracy"]
    bundle = publish(
        trained_ticket,
        commitment,
        owner,
        accuracy=accuracy,
        trial=mark["trial"],
        url=signature_embedding.time_stamp_url,
    )
    return Claim(bundle, trained_ticket)


def read_back(
    release: Any,
    unsigned: Any,
    images: Any,
    mark: dict[str, Any],
    owner: Any,
    signature_embedding: SignatureOptions,
    device: str,
) -> dict[str, Any]:
    """Read mark and triggers of the published ticket, as a verifier would."""
    if release is None:
        return {"signed_method": unsigned.method, "verdict": NOT_SIGNED, "unsigned": unsigned.fingerprint}
    from lottery_pipeline.ownership.answers import ask_model, predict_with
    from lottery_pipeline.ownership.claims import open_as_owner
    from lottery_pipeline.ownership.suspect import gather_suspect
    from lottery_pipeline.ownership.verify import verify_claim
    from lottery_pipeline.training.device import describe_device

    ticket = release.ticket
    found = verify_claim(
        release,
        gather_suspect(ticket.state, ticket, sha256=release.bundle.ticket_sha256),
        opened=open_as_owner(release, owner.key, images, signature_embedding),
        ask=ask_model(predict_with(ticket.build(), device=device)),
    )
    code, triggers = found["mask_code"], found["triggers"]
    return {
        "signed_method": ticket.method,
        "seed": ticket.header.seed,
        "density": ticket.density,
        "kept": ticket.kept,
        "prunable": ticket.prunable,
        "test_accuracy": release.bundle.release.accuracy_ppm / 1_000_000,
        "edits": mark["edits"],
        "groups": mark["groups"],
        "mask_code_bits": code["bits"],
        "decoded": code["decoded"],
        "trigger_hits": triggers["hits"],
        "trigger_counted": triggers["counted"],
        "trigger_bits": triggers["bits"],
        "verdict": found["verdict"],
        "owner": found["owner"],
        "ticket": ticket.header.parents["ticket"],
        "unsigned": unsigned.fingerprint,
        "fingerprint": ticket.fingerprint,
        "arithmetic": describe_device(device),
    }
