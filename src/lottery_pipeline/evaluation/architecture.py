"""The architecture of a SuperTicket: a file for ``model.name``, and a table for people."""

from collections.abc import Iterable, Mapping
from typing import Any

from lottery_pipeline.costs.macs import count_macs
from lottery_pipeline.models.registry import build_model
from lottery_pipeline.models.spec import ModelSpec
from lottery_pipeline.models.supernet.layout import BlockLayout, lay_out
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket

FORMAT_VERSION = 1
OTHERS = "stem and classifier"

Row = dict[str, Any]


def describe_architecture(ticket: Ticket) -> dict[str, Any]:
    """Return what ``model.name=supernet:<file>`` reads: configuration, widths, and the table for people.

    Raises:
        TicketError: the network is not a supernet or a part of one.
    """
    spec = _check_supernet(ticket)
    return {
        "format_version": FORMAT_VERSION,
        "supernet": spec.supernet.model_dump(mode="json"),  # type: ignore[union-attr]
        "architecture": [widths.model_dump(mode="json") for widths in spec.architecture],
        "blocks": tabulate_blocks(ticket),
    }


def tabulate_blocks(ticket: Ticket) -> list[Row]:
    """Return a row for each searchable block, and one for all other layers together.

    A block without kernels has vanished: it is its skip path.

    Returns:
        Rows with ``block``, ``kind``, ``channels_in``, ``channels_out``, ``stride``, ``size`` (height x width
        of its output, pixels), ``kernels`` and ``hidden`` (channels of each), ``tokens``, ``macs`` (of one
        image), ``kept``, ``prunable``, ``density``, and of the supernet ``supernet_kernels``,
        ``supernet_hidden``, ``supernet_tokens``, ``supernet_macs``.

    Raises:
        TicketError: the network is not a supernet or a part of one.
    """
    spec = _check_supernet(ticket)
    own = lay_out(spec.supernet, spec.image_size, spec.architecture)  # type: ignore[arg-type]
    full = lay_out(spec.supernet, spec.image_size)  # type: ignore[arg-type]
    macs, full_macs = (_macs_by_block(each, full) for each in (spec, spec.restored()))
    rows = [_block_row(block, full[name], macs[name], full_macs[name], ticket) for name, block in own.items()]
    kept = ticket.kept - sum(row["kept"] for row in rows)
    prunable = ticket.prunable - sum(row["prunable"] for row in rows)
    others = {"macs": macs[OTHERS], "supernet_macs": full_macs[OTHERS], **_weights(kept, prunable)}
    return [*rows, {**dict.fromkeys(rows[0], None), "block": OTHERS, "kind": "others", **others}]


def print_blocks(blocks: Iterable[Mapping[str, Any]]) -> str:
    """Return the table as text: block, kernels, widths, tokens, multiply-accumulates, density."""
    lines = [("block", "kernels", "hidden channels", "tokens", "MACs", "of supernet", "density")]
    for row in blocks:
        share = row["macs"] / row["supernet_macs"] if row["supernet_macs"] else 0.0
        lines.append(
            (
                row["block"],
                "" if row["kernels"] is None else row["kernels"] or "gone",
                row["hidden"] or "",
                "" if row["tokens"] is None else str(row["tokens"]),
                f"{row['macs']:,}",
                f"{share:.0%}",
                f"{row['density']:.1%}",
            )
        )
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 3 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _check_supernet(ticket: Ticket) -> ModelSpec:
    spec = ticket.header.spec
    if spec.supernet is None:
        raise TicketError(f"only a supernet has searchable blocks, but this ticket's network is {spec.name}")
    return spec


def _macs_by_block(spec: ModelSpec, blocks: Iterable[str]) -> dict[str, int]:
    """Return the multiply-accumulates by block, and those outside of blocks under ``OTHERS``."""
    found = dict.fromkeys((*blocks, OTHERS), 0)
    prefixes = {f"{name}.": name for name in found}
    model = build_model(spec, seed=0)  # on meta, counting takes twenty times as long
    for layer, macs in count_macs(model, (spec.channels, *spec.image_size)).items():
        owner = next((name for prefix, name in prefixes.items() if layer.startswith(prefix)), OTHERS)
        found[owner] += macs
    return found


def _block_row(block: BlockLayout, full: BlockLayout, macs: int, full_macs: int, ticket: Ticket) -> Row:
    masks = [mask for name, mask in ticket.masks.items() if name.startswith(f"{block.name}.")]
    return {
        "block": block.name.removeprefix("network."),
        "kind": block.kind,
        "channels_in": block.channels_in,
        "channels_out": block.channels_out,
        "stride": block.stride,
        "size": "x".join(map(str, block.size)),
        "kernels": " ".join(str(kernel) for kernel, _ in block.hidden),
        "hidden": " ".join(str(width) for _, width in block.hidden),
        "tokens": block.tokens,
        "macs": macs,
        **_weights(sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)),
        "supernet_kernels": " ".join(str(kernel) for kernel, _ in full.hidden),
        "supernet_hidden": " ".join(str(width) for _, width in full.hidden),
        "supernet_tokens": full.tokens,
        "supernet_macs": full_macs,
    }


def _weights(kept: int, prunable: int) -> dict[str, Any]:
    return {"kept": kept, "prunable": prunable, "density": kept / prunable if prunable else 0.0}
