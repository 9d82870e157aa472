"""What the rows of the table of blocks say, for the figures and the section on the architecture found.

The rows are those of ``evaluation.architecture.tabulate_blocks``: one for each searchable block, and one for
everything else.
"""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from lottery_pipeline.reporting import formatting as fmt

Row = Mapping[str, Any]
TOKENS = "tokens"
# By place, from the smallest kernel on; tokens last. All stand out on white and on near-black.
KERNEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B98300")
ATTENTION_COLOUR = "#CC6FA3"


def list_searchable(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of searchable blocks, without the one of all other layers."""
    return [row for row in rows if row["supernet_kernels"]]


def list_groups(row: Row) -> dict[str, tuple[int, int]]:
    """Return what is left and what the supernet has, by group: hidden channels of each kernel, then tokens.

    A group that the search has removed has 0 left; one that the supernet does not have is absent.
    """
    left = dict(zip(_split(row["kernels"]), _split(row["hidden"]), strict=True))
    full = zip(_split(row["supernet_kernels"]), _split(row["supernet_hidden"]), strict=True)
    groups = {name_kernel(kernel): (left.get(kernel, 0), width) for kernel, width in full}
    if row["supernet_tokens"]:
        groups[TOKENS] = (row["tokens"], row["supernet_tokens"])
    return groups


def name_kernel(kernel: int) -> str:
    """3 -> '3×3'."""
    return f"{kernel}×{kernel}"


def list_kinds(rows: Iterable[Row]) -> list[str]:
    """Return the groups that any of the blocks has in the supernet, in order."""
    kernels = sorted({kernel for row in rows for kernel in _split(row["supernet_kernels"])})
    tokens = [TOKENS] if any(row["supernet_tokens"] for row in rows) else []
    return [*map(name_kernel, kernels), *tokens]


def colour_kind(kinds: list[str], kind: str) -> str:
    """Return the colour of a group, the same in every figure."""
    return ATTENTION_COLOUR if kind == TOKENS else KERNEL_COLOURS[kinds.index(kind) % len(KERNEL_COLOURS)]


def is_gone(row: Row) -> bool:
    """Tell whether nothing is left of a block but its skip path."""
    return not any(left for left, _ in list_groups(row).values())


def share_channels(row: Row) -> float:
    """Return the share of the hidden channels that is left, all kernels together."""
    groups = [group for kind, group in list_groups(row).items() if kind != TOKENS]
    return sum(left for left, _ in groups) / sum(full for _, full in groups)


def share_macs(row: Row) -> float:
    """Return the share of the multiply-accumulates that is left."""
    return row["macs"] / row["supernet_macs"] if row["supernet_macs"] else 0.0


def short_name(row: Row) -> str:
    """Return the name of a block without what all names share: ``s2.branch1.block1``."""
    return str(row["block"]).removeprefix("stages.")


def describe_block(row: Row) -> str:
    """Return what hovering over a block shows."""
    lines = [f"<b>{escape(short_name(row))}</b>"]
    if row["size"]:
        size = str(row["size"]).replace("x", "×")
        lines.append(
            f"{row['channels_in']} to {row['channels_out']} channels, stride {row['stride']}, {escape(size)}"
        )
        if is_gone(row):
            lines.append("gone: only its skip path is left")
        else:
            lines += [f"{kind}: {left} of {full}" for kind, (left, full) in list_groups(row).items()]
    macs = f"{fmt.quantity(row['macs'])} of {fmt.quantity(row['supernet_macs'])}"
    lines.append(f"{macs} MACs ({fmt.density(share_macs(row))})")
    lines.append(f"{fmt.whole(row['kept'])} of {fmt.whole(row['prunable'])} weights not masked")
    return "<br>".join(lines)


def _split(numbers: str | None) -> list[int]:
    return [int(number) for number in (numbers or "").split()]
