from collections.abc import Iterator

import pytest
import torch

from lottery_pipeline.training.arithmetic import describe_arithmetic, set_arithmetic
from lottery_pipeline.training.device import describe_device, fastest_convolutions, pick_device

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _ours_again() -> Iterator[None]:
    yield
    set_arithmetic()


def spoil_old() -> None:
    torch.set_float32_matmul_precision("medium")
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = False


def spoil_new() -> None:
    torch.backends.fp32_precision = "tf32"
    torch.backends.cudnn.fp32_precision = "ieee"
    torch.backends.mkldnn.fp32_precision = "bf16"
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"


def spoil_rest() -> None:
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_accumulation = True
    torch.backends.cudnn.deterministic = True
    torch.use_deterministic_algorithms(True)


@pytest.mark.parametrize("spoil", [spoil_old, spoil_new, spoil_rest])
def test_what_another_library_has_set_is_set_anew_wherever_a_device_is_picked(spoil, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    spoil()
    pick_device("cpu")
    backends = torch.backends
    assert backends.cuda.matmul.fp32_precision == "ieee"
    assert (backends.cudnn.conv.fp32_precision, backends.cudnn.rnn.fp32_precision) == ("tf32", "tf32")
    assert {op.fp32_precision for op in (backends.mkldnn.matmul, backends.mkldnn.conv)} == {"ieee"}
    assert backends.cuda.matmul.allow_bf16_reduced_precision_reduction is True
    assert backends.cuda.matmul.allow_fp16_reduced_precision_reduction is True
    assert backends.cuda.matmul.allow_fp16_accumulation is False
    assert backends.cudnn.deterministic is False
    assert torch.are_deterministic_algorithms_enabled() is False


@pytest.mark.parametrize("spoil", [spoil_old, spoil_new])
def test_the_old_switches_can_still_be_read(spoil):
    spoil()
    set_arithmetic()
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.backends.cuda.matmul.allow_tf32 is False
    assert torch.backends.cudnn.allow_tf32 is True


def test_a_product_of_float32_on_the_processor_is_not_rounded_to_bfloat16():
    torch.set_float32_matmul_precision("medium")
    pick_device("cpu")
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand(64, 512, generator=generator) for _ in range(2))
    exact = left.double() @ right.double().T
    assert torch.allclose((left @ right.T).double(), exact, rtol=1e-5, atol=0)


def test_the_record_says_how_a_processor_computes():
    found = describe_device("cpu")
    assert found | {"instructions": "", "threads": 0} == {
        "device": "cpu",
        "products": "ieee",
        "convolutions": "ieee",
        "deterministic_algorithms": False,
        "instructions": "",
        "threads": 0,
        "onednn_deterministic": False,
    }
    assert found["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert found["threads"] == torch.get_num_threads()


def test_variables_that_change_the_arithmetic_past_pytorch_are_recorded(monkeypatch):
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    assert describe_arithmetic(CPU)["ONEDNN_DEFAULT_FPMATH_MODE"] == "BF16"


def test_the_record_of_a_card_names_its_autotuning_and_what_may_be_reduced(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "NVIDIA H200")
    set_arithmetic()
    found = describe_arithmetic(torch.device("cuda", 0))
    assert found | {"cudnn": 0} == {
        "device": "NVIDIA H200",
        "products": "ieee",
        "convolutions": "tf32",
        "deterministic_algorithms": False,
        "bf16_reduced_sums": True,
        "fp16_reduced_sums": True,
        "fp16_accumulation": False,
        "cudnn": 0,
        "cudnn_deterministic": False,
        "cudnn_benchmark": "while training",
        "NVIDIA_TF32_OVERRIDE": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


def test_cudnn_tunes_itself_while_a_card_trains_and_never_elsewhere():
    torch.backends.cudnn.benchmark = True
    with fastest_convolutions(CPU):
        assert torch.backends.cudnn.benchmark is False
    with fastest_convolutions(torch.device("cuda", 0)):
        assert torch.backends.cudnn.benchmark is True
    assert torch.backends.cudnn.benchmark is False
