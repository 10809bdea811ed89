"""What may befall a dictionary of tensors: each function changes one key of it."""

import torch


def delete(state, key):
    del state[key]


def add(state, key):
    state[f"{key}_more"] = torch.zeros(1)


def rename(state, key):
    state[f"renamed.{key}"] = state.pop(key)


def reshape(state, key):
    state[key] = torch.zeros(*state[key].shape, 1)


def transpose(state, key):
    state[key] = state[key].T.contiguous()


def halve(state, key):
    state[key] = state[key].half()
