"""A ticket as an ONNX file, for programs without Python; needs the packages of the extra ``onnx``.

ONNX computes zeros like other numbers: only a ticket with removed blocks or narrower layers gets faster.
"""

import importlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lottery_pipeline.options.numerals import write_number
from lottery_pipeline.reproducibility.files import write_atomically
from lottery_pipeline.reproducibility.fingerprints import fingerprint
from lottery_pipeline.tickets.errors import TicketError
from lottery_pipeline.tickets.ticket import Ticket

INPUT, OUTPUT = "images", "logits"
OPSET, OPSETS = 20, range(18, 25)  # torch writes 18 and newer; below, it calls a converter that may fail
MAX_BYTES = 2**31 - 2**24  # a protobuf message holds at most 2 GiB; the rest is for the graph
TOLERANCE = 1e-4


def export_onnx(ticket: Ticket, path: str | Path, *, opset: int = OPSET) -> Path:
    """Write a ticket, in eval mode, as one ONNX file, atomically.

    The file maps ``images``, float32 [batch, C, H, W] in [0, 1], to ``logits`` [batch, classes]; the batch
    axis is free, normalisation is inside. torch's exporter may fold batch norm into the convolution before
    it. Then the weights are not the ticket's, but zeros stay zeros. Its notes on the graph are left out, as
    they name folders of this machine; they are replaced by the method, density and fingerprint of the ticket,
    and a SHA-256 of these three.

    Args:
        ticket: usually a trained one; an untrained one gives the network with its start weights.
        path: of the file.
        opset: version of ONNX's operators, 18 to 24.

    Returns:
        The path.

    Raises:
        TicketError: the extra ``onnx`` is not installed, the opset is not one of these, the weights exceed
            the 2 GiB of an ONNX file, or torch cannot write this model.
    """
    if opset not in OPSETS:
        raise TicketError(f"opset must be {OPSETS.start} to {OPSETS.stop - 1}, not {opset}")
    passes = _import("onnxscript", "onnx_ir.passes.common")
    model = ticket.build().eval()
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if size > MAX_BYTES:
        raise TicketError(
            f"an ONNX file holds at most {MAX_BYTES} bytes of weights, but this model has {size}"
        )
    program = _trace(model, torch.zeros(2, *_image_shape(ticket)), ticket.header.spec.name, opset)
    passes.ClearMetadataAndDocStringPass()(program.model)
    for value in program.model.graph.inputs:
        value.metadata_props.clear()
    said = {"method": ticket.method, "density": str(ticket.density), "fingerprint": ticket.fingerprint}
    program.model.metadata_props.update(said, sha256=fingerprint(said))
    path = Path(path)
    write_atomically(path, program.model_proto.SerializeToString(deterministic=True))
    return path


def check_onnx(ticket: Ticket, path: str | Path, images: Tensor, *, tolerance: float = TOLERANCE) -> float:
    """Compare the logits of an ONNX file, run by onnxruntime on the CPU, with those of the ticket.

    Args:
        ticket: what was exported.
        path: what ``export_onnx`` wrote. Not for other people's files: onnxruntime reads it unchecked.
        images: float32 [N, C, H, W] in [0, 1], N at least 1.
        tolerance: greatest absolute difference of a logit that is allowed.

    Returns:
        The greatest absolute difference.

    Raises:
        TicketError: the difference is above the tolerance or not a number, what the file says of its ticket
            was changed, the images do not fit the model, or the extra ``onnx`` is not installed.
    """
    shape = _image_shape(ticket)
    if images.dtype != torch.float32 or images.shape[1:] != shape or len(images) == 0:
        raise TicketError(
            f"images must be float32 of shape [N, {', '.join(map(str, shape))}] with N at least 1, "
            f"not {images.dtype} of shape {list(images.shape)}"
        )
    runtime = _import("onnxruntime", "onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    said = dict(session.get_modelmeta().custom_metadata_map)
    if said.pop("sha256", None) not in (None, fingerprint(said)):  # None: of an older version
        raise TicketError(f"what {path} says of its ticket was changed after it was written")
    found = torch.from_numpy(session.run([OUTPUT], {INPUT: images.cpu().numpy()})[0])
    with torch.inference_mode():
        wanted = ticket.build().eval()(images.cpu())
    if found.shape != wanted.shape:
        raise TicketError(f"{path} gives logits {list(found.shape)}, the ticket {list(wanted.shape)}")
    difference = float((found - wanted).abs().max())
    if not difference <= tolerance:  # so that NaN fails
        raise TicketError(
            f"the logits of {path} differ by {write_number(difference, 3)} from those of the ticket, "
            f"but at most {write_number(tolerance)} is allowed"
        )
    return difference


def _trace(model: nn.Module, images: Tensor, name: str, opset: int) -> Any:
    try:
        program: Any = torch.onnx.export(
            model,
            (images,),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )
    except Exception as error:  # whatever the parts of the exporter raise
        fault = str(error).strip().partition("\n")[0][:300]
        raise TicketError(f"torch cannot write {name} as ONNX: {fault}") from error
    written = program.model.opset_imports[""]
    if written != opset:
        raise TicketError(f"torch cannot write {name} in opset {opset}: it wrote {written}; choose that one")
    return program


def _image_shape(ticket: Ticket) -> tuple[int, int, int]:
    return ticket.header.spec.channels, *ticket.header.spec.image_size


def _import(package: str, module: str) -> Any:
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise TicketError(
            f"ONNX needs the package {error.name!r}; install the extra: pip install -e '.[onnx]'"
        ) from error
