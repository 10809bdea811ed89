"""Work done by several processes at once, as torchrun would have started them.

They are forked from the server that has loaded torch: real processes and real messages, at a tenth
of the time that starting Python takes.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import numpy as np
from pretrain_faults import kill_in_step
from pretrain_world import SERVER, arguments, start_server

MODELS = {
    "paper": {"variant": "paper", "dim": 8, "layers": 2, "heads": 2},
    "latest": {"variant": "latest", "dim": 8, "layers": 2, "heads": 2, "graph_dim": 4},
}
GENES = 30


def in_processes(size: int, out: Path, work, *arguments) -> list[dict[str, np.ndarray]]:
    """Return what `work(world, *arguments)` returned in each of `size` processes."""
    out.mkdir(parents=True, exist_ok=True)
    _start(size, _work, out, work, *arguments)
    return [dict(np.load(out / f"{rank}.npz")) for rank in range(size)]


def train_in_processes(size: int, corpus: Path, out: Path, killed_at: int = 0, **changes) -> Path:
    """Run the training step in `size` processes and return its run folder.

    All are killed in the optimiser step `killed_at`; 0: they come to their end.
    """
    out.mkdir(parents=True, exist_ok=True)
    keywords = arguments(corpus, out, processes=size, **changes)
    _start(size, _train, out, keywords, killed_at, ends_with=-signal.SIGKILL if killed_at else 0)
    return out / "run"


def _start(size: int, target, out: Path, *rest, ends_with: int = 0) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    start_server()
    processes = [
        SERVER.Process(target=_rank, args=(rank, size, port, target, out, *rest))
        for rank in range(size)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    codes = [process.exitcode for process in processes]
    said = "\n".join(path.read_text() for path in sorted(out.glob("said_*")))
    for process in processes:
        process.kill()
    assert codes == [ends_with] * size, said


def _rank(rank: int, size: int, port: int, target, out: Path, *rest) -> None:
    import torch

    os.dup2(os.open(out / f"said_{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
    if size > 1:
        os.environ |= {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        }  # fmt: skip
    torch.set_num_threads(1)
    target(out, *rest)


def _train(out: Path, keywords: dict, killed_at: int) -> None:
    from bulkformer.pretrain.train import train

    if killed_at:
        kill_in_step(str(killed_at))
    train(**keywords)


def _work(out: Path, work, *arguments) -> None:
    from bulkformer.pretrain.distributed import start_world

    world = start_world()
    np.savez(out / f"{world.rank}.npz", **work(world, *arguments))
    world.close()


def gradients(world, variant: str, step_sizes: list[int], recompute: bool) -> dict:
    """Return the gradient of steps of these many samples, and what travelled for each, float64."""
    import torch

    from bulkformer.model.graph_convolution import Graph
    from bulkformer.model.variants import build, initialise_model
    from bulkformer.pretrain import distributed

    travelled = []
    inner = distributed._sum_bucket

    def counted(state, bucket):
        travelled[-1] += bucket.buffer().numel()
        return inner(state, bucket)

    distributed._sum_bucket = counted
    edges = torch.arange(GENES)
    graph = Graph(edges, (edges + 1) % GENES, torch.ones(GENES))
    # Another start in each process: the first one's holds.
    model = initialise_model(build(MODELS[variant], GENES), graph, world.rank, 2.0).double()
    model.eval()  # dropout belongs to the process
    model.activation_checkpointing = recompute
    shared = world.wrap(model)
    found = {}
    for step, size in enumerate(step_sizes):
        generator = torch.Generator().manual_seed(step)
        values = torch.rand(size, GENES, generator=generator, dtype=torch.float64) * 8
        model.zero_grad(set_to_none=True)
        travelled.append(0)
        mine = world.share(size)
        parts = np.array_split(mine, 2) if len(mine) > 1 else [mine]
        for number, part in enumerate(parts):
            with world.accumulating(shared, last=number == len(parts) - 1):
                if len(part):
                    predicted = shared(values[part], torch.full((len(part),), 0.15).double())
                    ((predicted - 3.0).square().sum() / size).backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        found[f"step_{step}"] = torch.cat([p.grad.flatten() for p in trained]).numpy()
    return found | {"travelled": np.array(travelled), "shares": np.array([len(mine)])}


def agreements(world) -> dict:
    """Return what processes find out together."""
    import torch

    tiny = torch.full((2,), 1.0 + 2**-30 * (world.rank + 1), dtype=torch.float64)
    return {
        "sum": world.sum(tiny).numpy(),
        "from_float32": world.sum(torch.tensor(2.0**24 + world.rank)).numpy(),
        "one": np.array(world.any(world.rank == world.size - 1)),
        "none": np.array(world.any(False)),
        "first": np.array(world.is_first),
    }
