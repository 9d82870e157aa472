"""How numbers are rounded: the switches of PyTorch are set here, never left as they were, and recorded.

The values are those PyTorch comes with, so that nothing is slower: convolutions of float32 on a card may use
TF32 (10 bits of mantissa), matrix products may not. On a card cuDNN chooses its algorithms by time, so
results repeat up to rounding; on a CPU they repeat bit for bit.
"""

import os
from typing import Any

import torch

from lottery_pipeline.training.parallel import count_processes

# Read by the libraries themselves, past PyTorch; recorded if they are there.
_ENVIRONMENT = (
    *("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "CUBLAS_WORKSPACE_CONFIG"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    "MKL_CBWR",
)


def set_arithmetic() -> None:
    """Set all switches, whatever another library has set them to; what the environment says stays."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first product is computed
    backends: Any = torch.backends
    # The old switches first: PyTorch raises where they are read later and contradict the new ones.
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = True
    backends.cuda.matmul.fp32_precision = "ieee"
    backends.cudnn.conv.fp32_precision = backends.cudnn.rnn.fp32_precision = "tf32"
    for operation in (backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn):
        operation.fp32_precision = "ieee"
    backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
    backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True
    backends.cuda.matmul.allow_fp16_accumulation = False
    backends.cudnn.deterministic = False
    backends.mkldnn.deterministic = False
    torch.use_deterministic_algorithms(False)


def describe_arithmetic(device: torch.device) -> dict[str, Any]:
    """Say how a device computes, as the switches are now.

    Returns:
        Plain JSON, flat. Always: ``device``, ``products`` and ``convolutions`` (precision of float32: ieee,
        tf32 or bf16), ``deterministic_algorithms``. On a CPU: ``instructions``, ``threads`` and
        ``onednn_deterministic``. On CUDA: which reduced sums are allowed, ``cudnn`` (its version),
        ``cudnn_deterministic``, and ``cudnn_benchmark``, which holds while something trains. Variables of the
        environment that change arithmetic, by their names. ``processes`` if several train together.
    """
    backends: Any = torch.backends
    is_cuda = device.type == "cuda"
    ours = backends.cudnn if is_cuda else backends.mkldnn
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if is_cuda else device.type,
        "products": backends.cuda.matmul.fp32_precision if is_cuda else backends.mkldnn.matmul.fp32_precision,
        "convolutions": ours.conv.fp32_precision,
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
    }
    if device.type == "cpu":
        found |= {
            "instructions": backends.cpu.get_cpu_capability(),
            "threads": torch.get_num_threads(),
            "onednn_deterministic": backends.mkldnn.deterministic,
        }
    if is_cuda:
        found |= {
            "bf16_reduced_sums": bool(backends.cuda.matmul.allow_bf16_reduced_precision_reduction),
            "fp16_reduced_sums": bool(backends.cuda.matmul.allow_fp16_reduced_precision_reduction),
            "fp16_accumulation": bool(backends.cuda.matmul.allow_fp16_accumulation),
            "cudnn": backends.cudnn.version(),
            "cudnn_deterministic": backends.cudnn.deterministic,
            "cudnn_benchmark": "while training",
        }
    if count_processes() > 1:
        found["processes"] = count_processes()
    relevant = _ENVIRONMENT if is_cuda else _ENVIRONMENT[3:]
    return found | {name: os.environ[name] for name in relevant if name in os.environ}
