"""ESM2 checkpoints, by a tiny one with random weights."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bulkformer.errors import InputError
from bulkformer.sources.esm2 import open_esm2

WIDTH, INNER, LAYERS, HEADS, POSITIONS = 8, 12, 2, 2, 18
TOKENS = [
    *("<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-"),
    *("<null_1>", "<mask>"),
]
CONFIG = {
    "architectures": ["EsmForMaskedLM"],
    "model_type": "esm",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "vocab_size": len(TOKENS),
    "max_position_embeddings": POSITIONS,
    "position_embedding_type": "rotary",
    "emb_layer_norm_before": False,
    "is_folding_model": False,
    "pad_token_id": 1,
    "mask_token_id": 32,
    "vocab_list": None,
}
WORDS = "esm.embeddings.word_embeddings.weight"


def tensors():
    """All tensors that the released checkpoints hold, the unused ones included."""
    shapes = {
        WORDS: (len(TOKENS), WIDTH),
        "esm.embeddings.position_embeddings.weight": (POSITIONS, WIDTH),
        "esm.encoder.emb_layer_norm_after.weight": (WIDTH,),
        "esm.encoder.emb_layer_norm_after.bias": (WIDTH,),
        "esm.contact_head.regression.weight": (1, LAYERS * HEADS),
        "esm.contact_head.regression.bias": (1,),
        "lm_head.bias": (len(TOKENS),),
        "lm_head.dense.weight": (WIDTH, WIDTH),
    }
    for layer in range(LAYERS):
        prefix = f"esm.encoder.layer.{layer}."
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{prefix}attention.{part}.weight"] = (WIDTH, WIDTH)
            shapes[f"{prefix}attention.{part}.bias"] = (WIDTH,)
        shapes[f"{prefix}intermediate.dense.weight"] = (INNER, WIDTH)
        shapes[f"{prefix}intermediate.dense.bias"] = (INNER,)
        shapes[f"{prefix}output.dense.weight"] = (WIDTH, INNER)
        shapes[f"{prefix}output.dense.bias"] = (WIDTH,)
        for norm in ("attention.LayerNorm", "LayerNorm"):
            shapes[f"{prefix}{norm}.weight"] = shapes[f"{prefix}{norm}.bias"] = (WIDTH,)
        shapes[f"{prefix}attention.self.rotary_embeddings.inv_freq"] = (WIDTH // HEADS // 2,)
    rng = np.random.default_rng(1)
    made = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return made | {"esm.embeddings.position_ids": np.arange(POSITIONS)[None]}


@pytest.fixture
def folder(tmp_path):
    save_file(tensors(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS))
    special = {f"{role}_token": f"<{role}>" for role in ("cls", "eos", "mask", "pad", "unk")}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(special))
    tokenizer = {"tokenizer_class": "EsmTokenizer", "model_max_length": POSITIONS - 2}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return tmp_path


def rewrite(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite_weights(folder, change):
    """Save the weights again after `change`, which edits the dictionary of tensors."""
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def refused(path, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        open_esm2(path)
    assert str(path if path.is_dir() else path.parent) in str(error.value)


def test_a_checkpoint_says_its_width_layers_and_tokens(folder):
    for path in (folder, folder / "model.safetensors"):
        files = open_esm2(path)
        assert (files.width, files.layers, files.positions) == (WIDTH, LAYERS, POSITIONS)
        assert files.path == folder
        assert files.vocabulary.index("<mask>") == 32
        assert files.vocabulary[4] == "L"


def test_heads_and_tables_that_nobody_reads_may_be_absent(folder):
    unread = ("lm_head", "contact_head", "position", "inv_freq")

    def strip(weights):
        for name in [name for name in weights if any(part in name for part in unread)]:
            del weights[name]

    rewrite_weights(folder, strip)
    assert open_esm2(folder).layers == LAYERS


def test_half_precision_is_read(folder):
    rewrite_weights(
        folder,
        lambda w: w.update(
            {n: v.astype(np.float16) for n, v in w.items() if v.dtype == np.float32}
        ),
    )
    assert open_esm2(folder).width == WIDTH


def test_weights_of_another_width_than_the_configuration_are_refused(folder):
    rewrite(folder / "config.json", hidden_size=2 * WIDTH)
    refused(folder, r"of another shape: .*\[8\] instead of \[16\].* and \d+ more")


def test_one_tensor_of_another_shape_is_named(folder):
    name = "esm.encoder.layer.1.attention.self.key.weight"
    rewrite_weights(folder, lambda w: w.update({name: w[name][:, :4].copy()}))
    refused(folder, rf"of another shape: {name} \[8, 4\] instead of \[8, 8\]$")


def test_a_missing_layer_is_named_and_so_is_one_too_many(folder):
    rewrite(folder / "config.json", num_hidden_layers=LAYERS + 1)
    refused(folder, "model.safetensors: no layer 2, but num_hidden_layers in config.json is 3")
    rewrite(folder / "config.json", num_hidden_layers=10**15)
    refused(folder, "no layer 2, but num_hidden_layers")
    rewrite(folder / "config.json", num_hidden_layers=1)
    refused(folder, "2 layers, but num_hidden_layers in config.json is 1")


@pytest.mark.parametrize(
    "name",
    [
        *(WORDS, "esm.encoder.emb_layer_norm_after.bias"),
        "esm.encoder.layer.0.attention.output.dense.weight",
        "esm.encoder.layer.1.attention.LayerNorm.weight",
        "esm.encoder.layer.1.attention.self.value.bias",
        "esm.encoder.layer.0.intermediate.dense.bias",
    ],
)
def test_every_tensor_that_is_computed_with_has_to_be_there(folder, name):
    rewrite_weights(folder, lambda w: w.pop(name))
    refused(folder, f"missing: {name}")


def test_tensors_of_other_networks_and_whole_numbers_are_refused(folder):
    rewrite_weights(folder, lambda w: w.update({"trunk.blocks.0.bias": np.zeros(2, np.float32)}))
    refused(folder, "unexpected: trunk.blocks.0.bias")
    rewrite_weights(
        folder, lambda w: (w.pop("trunk.blocks.0.bias"), w.update({WORDS: w[WORDS].astype("int8")}))
    )
    refused(folder, f"no floating point numbers: {WORDS} I8")


def test_a_pickle_is_never_opened(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",))

    weights = folder / "model.safetensors"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    refused(folder / "pytorch_model.bin", "a pickle, which can run code; give model.safetensors")
    weights.write_bytes(pickle.dumps(Trap()))
    refused(folder, "model.safetensors: a pickle")
    weights.write_bytes(b"PK\x03\x04" + bytes(100))  # what torch.save writes
    refused(folder, "model.safetensors: a pickle")
    weights.unlink()
    refused(folder, "No such file.*pytorch_model.bin is a pickle and is not opened")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\n<!DOCTYPE html><html>Sign in</html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer"),
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        *("model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json"),
        "special_tokens_map.json",
    ],
)
def test_pages_and_pointers_in_place_of_a_file_are_recognised(folder, name, content, what):
    (folder / name).write_bytes(content)
    refused(folder, f"{name}: {what} and not the file")
    (folder / name).unlink()
    refused(folder, f"{name}: cannot be opened")


def test_a_cut_or_prolonged_file_is_refused(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[:-4], whole[:300], whole[:5], b"", whole + b"more"):
        path.write_bytes(content)
        refused(folder, "not a whole safetensors file")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model_type": "bert"}, "model_type is 'bert', not 'esm'"),
        ({"hidden_size": None}, "hidden_size is None"),
        ({"num_hidden_layers": True}, "num_hidden_layers is True"),
        ({"max_position_embeddings": 0}, "max_position_embeddings is 0"),
        ({"num_attention_heads": 3}, "8 does not divide into 3 heads"),
        ({"num_attention_heads": 8}, "does not divide into 8 heads of even width"),
        ({"position_embedding_type": "absolute"}, "'absolute', so this is another model"),
        ({"emb_layer_norm_before": True}, "emb_layer_norm_before is True"),
        ({"is_folding_model": True}, "is_folding_model is True"),
        ({"vocab_size": 40}, "33 tokens, but vocab_size in config.json is 40"),
        ({"mask_token_id": 4}, "<mask> is token 32, but mask_token_id in config.json is 4"),
    ],
)
def test_configurations_of_other_models_are_refused(folder, changes, complaint):
    rewrite(folder / "config.json", **changes)
    refused(folder, complaint)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("config.json", "{", "config.json: not JSON"),
        ("config.json", "[" * 100_000, "config.json: not JSON"),
        ("config.json", "[]", "not a JSON object"),
        ("vocab.txt", "\n".join([*TOKENS[:-1], "A"]), "a token stands twice"),
        ("vocab.txt", "\n".join(["x", "y", "z", "w", *TOKENS[4:]]), "no token <cls>.* 1 more"),
        ("special_tokens_map.json", '{"eos_token": "<end>"}', "eos_token is '<end>', not '<eos>'"),
        ("special_tokens_map.json", '{"eos_token": {"content": "</s>"}}', "eos_token is '</s>'"),
        ("tokenizer_config.json", '{"tokenizer_class": "Bert"}', "tokenizer_class is 'Bert'"),
    ],
)
def test_tokens_that_are_not_those_of_esm2_are_refused(folder, name, content, complaint):
    (folder / name).write_text(content)
    refused(folder, complaint)


def test_a_path_that_is_no_checkpoint_is_refused(folder):
    refused(folder / "config.json", "neither a folder nor model.safetensors")


def test_neither_torch_nor_transformers_is_loaded(folder, root):
    program = (
        "import sys\nfrom pathlib import Path\nfrom bulkformer.sources.esm2 import open_esm2\n"
        f"assert open_esm2(Path({str(folder)!r})).width == {WIDTH}\n"
        "assert not {'torch.nn', 'transformers'} & sys.modules.keys()\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(root / "workflow/lib")}, check=True
    )
