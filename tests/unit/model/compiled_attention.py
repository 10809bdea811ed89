"""Compile the Triton kernels of attention for a GPU that need not be there; print what they take.

The launching code runs as it is, but every launch stops once the kernel is compiled to machine
code. `python compiled_attention.py 90 80,350,bfloat16 ...`: compute capability, then head width,
features and type.
"""

import json
import re
import subprocess
import sys
import tempfile

import torch
import triton
from triton import knobs
from triton.backends.compiler import GPUTarget

from bulkformer.model import attention_triton


class Absent:
    """A driver without a device: it only says which device to compile for."""

    def __init__(self, capability: int):
        self.target = GPUTarget("cuda", capability, 32)

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def registers_and_spills(cubin: bytes) -> tuple[int, int]:
    """Return the registers of a thread and the bytes that it keeps on its stack instead."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return tuple(int(re.search(rf"{word}:(\d+)", usage)[1]) for word in ("REG", "STACK"))


def main(capability: str, *shapes: str) -> None:
    triton.runtime.driver.set_active(Absent(int(capability)))
    attention_triton.check_available = lambda device: None  # tensors are on the CPU
    launch, compiled = triton.JITFunction.run, []

    def compile_only(self, *arguments, grid, warmup, **options):
        compiled.append(
            (self.__name__, launch(self, *arguments, grid=grid, warmup=True, **options))
        )

    triton.JITFunction.run = compile_only
    for shape in shapes:
        head_dim, features, dtype = shape.split(",")
        tokens = torch.zeros(1, 100, 2 * int(head_dim), dtype=getattr(torch, dtype))
        projection = torch.zeros(int(features), int(head_dim))
        compiled.clear()
        operators = torch.ops.bulkformer
        _, *kept = operators.linear_attention(tokens, tokens, tokens, projection)
        operators.linear_attention_backward(tokens, tokens, tokens, tokens, projection, *kept)
        for name, kernel in compiled:
            registers, spilled = registers_and_spills(kernel.asm["cubin"])
            usage = {"registers": registers, "spilled": spilled, "shared": kernel.metadata.shared}
            print(json.dumps({"shape": shape, "kernel": name} | usage), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
