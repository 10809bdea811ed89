"""What torch.compile is to leave alone, said without loading the compiler.

`torch.compiler.disable` loads it at once, which takes longer than embedding a small cohort.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def outside_compilers(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Have torch.compile call `function` as it is; whoever does not compile pays nothing for it."""

    @functools.wraps(function)
    def called(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(function)(*arguments, **options)
        return function(*arguments, **options)

    return called
