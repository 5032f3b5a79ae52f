from __future__ import annotations

import dataclasses
import json
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import DINOv3ViTConfig, DINOv3ViTModel

from cli_invoke import invoke
from made_images import blob_image, sample_of
from predictors import backbone_of, bundle_predictor
from trained import Tiny
from workzone.backbones.adapters import AdapterConfig
from workzone.backbones.base import Backbone, pool, run
from workzone.backbones.dinov3 import DINOv3ViT
from workzone.backbones.names import ViTSize
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest, write_manifest
from workzone.data.weather import WeatherConfig
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.errors import BundleError, ImageError, MissingExtraError
from workzone.features.extract import Extraction, make_spec
from workzone.features.spec import FeatureSpec
from workzone.model.cells import OUTSIDE
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.detector import Detector
from workzone.model.inputs import DetectorInput
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.views.config import GlanceConfig
from workzone.run.predictor import load
from workzone.train.batches import cut
from workzone.train.batches import load as load_batches
from workzone.train.feed.examples import Examples
from workzone.train.feed.pixels import PixelExamples, PixelInput
from workzone.train.job import Trained, train
from workzone.train.judging import predict_probabilities
from workzone.train.optim.optimizers import OptimizerConfig, make_optimizer, parameters_by_role
from workzone.train.pixels import PixelDetector
from workzone.train.processes import Processes
from workzone.train.settings import RunConfig, TrainConfig
from workzone.views import ViewLayout, sample_bytes, sample_views

ADAPTERS = AdapterConfig(rank=4, blocks=2)
GLANCE = DetectorConfig(glance=GlanceConfig(keep=3))
QUICK = TrainConfig(
    epochs=3,
    batch=8,
    detector=GLANCE,
    adapters=ADAPTERS,
    optimizer=OptimizerConfig(learning_rate=3e-3),
)


LAYOUT = ViewLayout(size=48, tiles=2, overlap=0.0, squares=())
"""The whole frame and its quarters, of 3 x 3 cells."""


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """A small transformer with random weights, for all that needs no bundle."""
    torch.manual_seed(0)
    config = DINOv3ViTConfig(**ViTSize(32, 64, 3, 2).configuration())
    return DINOv3ViT(DINOv3ViTModel(config), "tiny")


@pytest.fixture(scope="module")
def spec(backbone: Backbone) -> FeatureSpec:
    return make_spec(backbone, layout=LAYOUT, grid_views=(0,))


@pytest.fixture(scope="module")
def few(tiny: Tiny) -> Manifest:
    """20 of the shared images: 12 to learn from, 8 to validate on."""
    known = list(tiny.manifest)
    chosen = [s for s in known if s.split == "train"][:12]
    return tiny.manifest.with_samples(chosen + [s for s in known if s.split == "val"][:8])


@pytest.fixture(scope="module")
def stored(few: Manifest, backbone: Backbone, spec: FeatureSpec, tiny: Tiny) -> Examples:
    store = Extraction(few, backbone, spec, tiny.store).run()
    rows = [store.rows[(s.content_hash or "", 0)] for s in few]
    return Examples(
        labels=torch.tensor([s.label for s in few], dtype=torch.int64),
        rows=torch.tensor(rows)[:, None],
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid((0,)),
        grid_size=spec.grid_size,
        view_size=spec.layout.size,
        samples=list(few),
    )


@pytest.fixture
def examples(stored: Examples, spec: FeatureSpec, few: Manifest) -> PixelExamples:
    return PixelExamples.of(stored, spec, few.root, copies=2)


def detector_of(
    examples: Examples, backbone: Backbone, spec: FeatureSpec, config: DetectorConfig = GLANCE
) -> PixelDetector:
    """With weights that say something, and statistics from the stored features."""
    torch.manual_seed(0)
    sized = examples.sized(config, np.arange(len(examples)))
    detector = PixelDetector(sized, backbone, spec, ADAPTERS)
    for parameter in detector.detector.head.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    given = examples.stored(torch.arange(len(examples)))
    detector.fit(lambda: [given], examples.labels)
    return detector.eval()


def moved(detector: PixelDetector) -> PixelDetector:
    """With adapters that do something."""
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, value in detector.backbone.named_parameters():
            if value.requires_grad and "magnitude" not in name:
                value.add_(0.05 * torch.randn(value.shape, generator=random))
    return detector


ALL = torch.arange(20)


def test_features_that_hardly_differ_are_not_blown_up(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    detector = detector_of(examples, backbone, spec, DetectorConfig())
    features = torch.randn(50, 5, 64, generator=torch.Generator().manual_seed(4))
    features[..., 7] *= 1e-3
    detector.fit(lambda: [DetectorInput(features=features)], torch.zeros(50))
    plain = Detector(detector.config)
    plain.fit_scaler(features)
    scale = detector.detector.feature_scale
    assert float(scale[7]) == pytest.approx(
        0.1 * float(features.mean(dim=1).std(dim=0, correction=0).median())
    )
    others = torch.arange(64) != 7
    assert torch.equal(scale[others], plain.feature_scale[others])


@pytest.mark.parametrize("config", [GLANCE, DetectorConfig()], ids=["glance", "all views"])
def test_untrained_it_says_what_the_stored_features_say(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec, config: DetectorConfig
) -> None:
    detector = detector_of(examples, backbone, spec, config)
    with torch.no_grad():
        pixels, features = detector.run(examples.batch(ALL)), detector.run(examples.stored(ALL))
    torch.testing.assert_close(pixels.logits, features.logits, rtol=1e-3, atol=2e-3)
    torch.testing.assert_close(pixels.view_weights, features.view_weights, rtol=1e-2, atol=1e-3)
    read = 3 if config.glance else 5
    assert (pixels.view_weights > 0).sum(dim=1).tolist() == [read] * 20
    assert float(features.logits.std()) > 0.05  # it says something


def test_features_are_those_of_extraction(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    """Bit for bit those of the backbone, but for the size of the batch that it is given."""
    detector = detector_of(examples, backbone, spec)
    given = examples.batch(ALL[:2])
    with torch.no_grad():
        read = detector.read(given)
    assert (read.features != 0).any(dim=-1).sum(dim=1).tolist() == [3, 3]
    for image in range(2):
        output = run(backbone, given.pixels[image])
        expected = pool(output, spec.pooling)
        kept = (read.features[image] != 0).any(dim=-1)
        assert bool(kept[0])  # the whole frame
        torch.testing.assert_close(read.features[image][kept], expected[kept])
        assert read.grid is not None
        torch.testing.assert_close(read.grid[image], output.grid[0])


def test_only_views_that_are_read_cost_anything(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    detector, counts = detector_of(examples, backbone, spec), []
    detector.backbone.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))
    detector.run(examples.batch(ALL[:4]))
    assert counts == [4, 4 * 2]


def test_gradients_reach_adapters_and_detector_and_nothing_else(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    detector = moved(detector_of(examples, backbone, spec)).train()
    detector.run(examples.batch(ALL[:6])).logits[:, 1].sum().backward()
    reached = {n for n, p in detector.named_parameters() if p.grad is not None}
    assert reached == {n for n, p in detector.named_parameters() if p.requires_grad}
    adapters = {n for n in reached if n.startswith("backbone.")}
    assert len(adapters) == 2 * 6 * 3  # two blocks of six layers of three parts
    assert all("lora_" in name for name in adapters)
    none = {n for n in adapters if not detector.get_parameter(n).grad.abs().sum() > 0}
    assert none == set()


def test_batches_are_cut_as_for_extraction_and_depend_on_the_epoch_alone(
    examples: PixelExamples, spec: FeatureSpec
) -> None:
    sample = examples.samples[3]
    data = sample_bytes(sample, examples.root)

    def cut(copy: int) -> torch.Tensor:
        views = sample_views(sample, data, spec.layout, augmentation=spec.augmentation, copy=copy)
        return torch.from_numpy(views.pixels)

    images, copies = torch.tensor([3, 5, 3, 3]), torch.tensor([0, 1, 1, 2])
    first, later = examples.at_epoch(0), examples.at_epoch(4)
    before = first.batch(images, copies).pixels
    for place, copy in ((0, 0), (2, 1), (3, 2)):
        assert torch.equal(before[place], cut(copy))
    after = later.batch(images.flip(0), copies.flip(0)).pixels.flip(0)
    for place, copy in ((0, 0), (2, 1 + 4 * 2), (3, 2 + 4 * 2)):
        assert torch.equal(after[place], cut(copy))
    assert not torch.equal(before[2], after[2])
    again = pickle.loads(pickle.dumps(later)).batch(images, copies)
    assert torch.equal(again.pixels, after)


def test_pixels_are_sliced_as_features_are(examples: PixelExamples) -> None:
    given = examples.batch(ALL[:4])
    assert given.pixels.dtype == torch.uint8
    assert given.pixels.shape == (4, LAYOUT.count, 3, LAYOUT.size, LAYOUT.size)
    part = given[1:3]
    assert isinstance(part, PixelInput)
    assert len(part) == 2
    assert torch.equal(part.pixels, given.pixels[1:3])
    assert isinstance(part.image_only(), PixelInput)


def test_an_image_that_is_gone_is_named(examples: PixelExamples, tmp_path: Path) -> None:
    elsewhere = dataclasses.replace(examples, root=tmp_path)
    with pytest.raises(ImageError, match="no such file"):
        elsewhere.batch(ALL[:2])


def test_the_state_holds_what_learns(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    detector = moved(detector_of(examples, backbone, spec))
    state = detector.state_dict()
    plain = {f"detector.{name}" for name in Detector(detector.config).state_dict()}
    assert {name for name in state if not name.startswith("backbone.")} == plain
    assert all("lora_" in name for name in state.keys() - plain)
    assert len(state.keys() - plain) == 2 * 6 * 3
    other = detector_of(examples, backbone, spec)
    other.load_state_dict(state)
    given = examples.batch(ALL[:4])
    with torch.no_grad():
        assert torch.equal(other.run(given).logits, detector.run(given).logits)
    del state["detector.head.1.bias"]
    with pytest.raises(RuntimeError, match=r"Missing key.*detector\.head\.1\.bias"):
        other.load_state_dict(state)


def test_magnitudes_are_not_decayed(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    detector = detector_of(examples, backbone, spec)
    roles = parameters_by_role(detector)
    spared = {name for name, _ in roles["spared"] if "lora_" in name}
    assert len(spared) == 2 * 6
    assert all("magnitude" in name for name in spared)
    optimizer = make_optimizer(detector, OptimizerConfig(weight_decay=0.1))
    held = sum(len(group["params"]) for group in optimizer.param_groups)
    assert held == sum(p.requires_grad for p in detector.parameters())


def test_dropout_is_of_the_adapters_and_of_training_alone(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    sized = examples.sized(GLANCE, np.arange(20))
    detector = moved(
        PixelDetector(sized, backbone, spec, dataclasses.replace(ADAPTERS, dropout=0.5))
    )
    given = examples.batch(ALL[:2])
    with torch.no_grad():
        still = [detector.eval().read(given).features for _ in range(2)]
        moving = [detector.train().read(given).features for _ in range(2)]
    assert torch.equal(*still)
    assert not torch.equal(*moving)


def test_parted_and_merged_it_says_the_same(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    detector = moved(detector_of(examples, backbone, spec))
    given = examples.batch(ALL)
    with torch.no_grad():
        before = detector.run(given).logits
        merged = detector.merged()
        outputs = [run(merged.backbone, pixels) for pixels in given.pixels]
        features = DetectorInput(
            features=torch.stack([pool(output, spec.pooling) for output in outputs]),
            boxes=given.boxes,
            grid=torch.stack([output.grid[0] for output in outputs]),
            grid_size=outputs[0].grid_size,
        )
        after = merged.detector.run(features).logits
    assert type(merged.detector) is Detector
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5)


def test_masks_are_learned_from_pixels_too(
    examples: PixelExamples, backbone: Backbone, spec: FeatureSpec
) -> None:
    config = DetectorConfig(glance=GlanceConfig(keep=3), masks=MaskHeadConfig(hidden=8))
    detector = detector_of(examples, backbone, spec, config).train()
    output = detector.run(examples.batch(ALL[:2]))
    assert output.masks is not None
    output.masks.sum().backward()
    assert all(p.grad is not None for n, p in detector.named_parameters() if "lora_" in n)


def test_halves_are_read_to_judge_and_not_to_learn(
    examples: PixelExamples, backbone: Backbone
) -> None:
    layout = dataclasses.replace(LAYOUT, size=64, halves=True)
    spec = make_spec(backbone, layout=layout, grid_views=tuple(range(LAYOUT.count)))
    config = DetectorConfig(width=32, glance=None, cells=CellHeadConfig(width=32))
    detector = PixelDetector(config, backbone, spec, ADAPTERS)
    given = dataclasses.replace(examples, spec=spec).batch(ALL[:2])
    learned, judged = detector.train().run(given), detector.eval().run(given)
    assert learned.cells is not None and judged.cells is not None
    assert learned.cells.shape == judged.cells.shape == (2, 5, 4, 4)
    assert learned.half_cells is None
    assert judged.half_cells is not None and judged.half_cells.shape == (2, 5, 2, 2)


def test_frames_in_their_own_shape_are_read_as_for_a_store(
    backbone: Backbone, tmp_path: Path
) -> None:
    """One by one, without what is beside them in the square that a batch holds them in."""
    shapes = {(96, 64): (32, 64), (64, 96): (64, 32), (80, 80): (32, 32), (160, 40): (32, 64)}
    samples = []
    for number, (width, height) in enumerate(shapes):
        path = tmp_path / f"{number}.png"
        blob_image(number, number % 2, width=width, height=height).save(path)
        samples.append(sample_of(path, label=number % 2))
    layout = ViewLayout(size=64, shorter=32, step=32, tiles=0, squares=(), halves=True)
    spec = make_spec(
        backbone, layout=layout, pooling="mean", grid_views=(0,), stored_type="float32"
    )
    manifest = Manifest(samples, tmp_path)
    store = Extraction(manifest, backbone, spec, tmp_path / "features").run()
    stored = Examples(
        labels=torch.tensor([0, 1, 0, 1]),
        rows=torch.arange(4)[:, None],
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid((0,)),
        grid_size=spec.grid_size,
        view_size=layout.size,
        samples=samples,
    )
    given = PixelExamples.of(stored, spec, tmp_path, copies=1).batch(torch.arange(4))
    assert given.pixels.shape == (4, 1, 3, 64, 64)
    for pixels, (rows, columns) in zip(given.pixels, shapes.values(), strict=True):
        assert pixels[..., rows:, :].eq(0).all()
        assert pixels[..., columns:].eq(0).all()
        assert pixels[..., :rows, :columns].float().std() > 10
    config = DetectorConfig(width=32, glance=None, cells=CellHeadConfig(width=32, mix_style=0.5))
    torch.manual_seed(0)
    detector = PixelDetector(config, backbone, spec, ADAPTERS).eval()
    held = stored.stored(torch.arange(4))
    with torch.no_grad():
        read = detector.read(given)
        assert read.grid is not None and held.grid is not None and held.boxes is not None
        torch.testing.assert_close(read.grid[:, 0], held.grid, rtol=1e-4, atol=1e-4)
        assert torch.equal(read.boxes, held.boxes)
        said, expected = detector.run(given), detector.run(held)
    torch.testing.assert_close(said.logits, expected.logits, rtol=1e-4, atol=1e-4)
    assert said.cells is not None and said.half_cells is not None
    assert (said.cells.shape, said.half_cells.shape) == ((4, 1, 4, 4), (4, 1, 2, 2))
    learned = detector.train().run(given)
    assert learned.cells is not None and learned.half_cells is None
    judged = (learned.cells > OUTSIDE).flatten(1).sum(dim=1)
    assert judged.tolist() == [rows * columns // 256 for rows, columns in shapes.values()]
    learned.logits[:, 1].sum().backward()
    moved = [p.grad for p in detector.backbone.parameters() if p.requires_grad]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in moved)
    assert any(gradient.abs().sum() > 0 for gradient in moved if gradient is not None)


SMALL = ViewLayout(size=96, tiles=0, squares=("left", "right"))
"""Three views, of the coarsest grid that a glance takes."""


@pytest.fixture(scope="module")
def trained(
    few: Manifest, lite0: Backbone, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Trained, Path]:
    root = tmp_path_factory.mktemp("pixels")
    spec = make_spec(lite0, layout=SMALL, grid_views=(0,))
    config = dataclasses.replace(
        QUICK, detector=DetectorConfig(glance=GlanceConfig(keep=2)), batch=4
    )
    result = train(few, lite0, spec, root / "features", config, copies=1)
    write_bundle(result.bundle, root / "model")
    return result, root


def paths(manifest: Manifest) -> list[str]:
    return [str(manifest.root / sample.image.path) for sample in manifest][:4]


def test_training_from_pixels_learns_more_than_stored_features_hold(
    few: Manifest, backbone: Backbone, spec: FeatureSpec, tmp_path: Path
) -> None:
    """The backbone's weights are random: a little training must help."""
    config = dataclasses.replace(QUICK, epochs=6)
    plain = dataclasses.replace(config, adapters=None)
    (history,) = train(few, backbone, spec, tmp_path, config).fit.validation_losses
    (stored,) = train(few, backbone, spec, tmp_path, plain).fit.validation_losses
    assert min(history) < 0.5 * min(stored) < 0.5 * np.log(2)  # that of an untrained detector


def test_what_was_learned_is_in_the_bundle(lite0: Backbone, trained: tuple[Trained, Path]) -> None:
    bundle = trained[0].bundle
    changes = [
        float((value - lite0.model.state_dict()[name]).norm() / value.norm())
        for name, value in bundle.backbone_weights.items()
    ]
    assert len(changes) == 2 * 2
    assert min(changes) > 1e-4
    assert bundle.spec.weight_hash != lite0.weight_hash == load_backbone("lite0").weight_hash


def test_a_bundle_predicts_what_the_model_in_memory_does(
    few: Manifest, trained: tuple[Trained, Path]
) -> None:
    result, root = trained
    backbone = load_backbone("lite0")
    backbone.replace_weights(result.bundle.backbone_weights)
    loaded = load(root / "model")
    memory = bundle_predictor(result.bundle, backbone).predict(paths(few))
    assert loaded.predict(paths(few)) == memory
    assert len({p.probability for p in memory}) > 1
    # and what it says of features stored with its own backbone
    manifest = few.with_samples(list(few)[:4])
    spec = loaded.description.spec
    store = Extraction(manifest, backbone_of(loaded), spec, root / "features").run()
    rows = [store.row(s.content_hash or "") for s in manifest]
    given = DetectorInput(
        features=store.read("pooled", rows),
        boxes=store.read("boxes", rows),
        grid=store.grid((0,))[rows].float(),
        grid_size=store.spec.grid_size,
    )
    raw = predict_probabilities(result.bundle.detector, given)
    expected = [p.probability for p in memory]
    np.testing.assert_allclose(result.bundle.calibration.apply(raw), expected, atol=5e-3)


def test_the_same_seed_gives_the_same_bits(
    few: Manifest, backbone: Backbone, spec: FeatureSpec, tmp_path: Path
) -> None:
    config = dataclasses.replace(QUICK, epochs=2)
    bundles = []
    for number in range(2):
        torch.manual_seed(number)  # the caller's seed does not matter
        bundles.append(train(few, backbone, spec, tmp_path, config, copies=1).bundle)
    assert bundles[0].identity() == bundles[1].identity()
    other = train(few, backbone, spec, tmp_path, dataclasses.replace(config, seed=1), copies=1)
    assert other.bundle.spec.weight_hash != bundles[0].spec.weight_hash


def test_weather_falls_on_all_views_of_an_image_alike(examples: PixelExamples) -> None:
    """Known from the seed, the epoch and the image, whatever the batch."""
    config = dataclasses.replace(QUICK, weather=WeatherConfig(fog=1.0))
    images = torch.arange(4)

    def pixels(order: torch.Tensor, epoch: int, config: TrainConfig) -> torch.Tensor:
        parts = cut(order, torch.zeros_like(order), 1)
        device = torch.device("cpu")
        (batch,) = load_batches(examples, None, parts, config, epoch=epoch, device=device)
        assert isinstance(batch.given, PixelInput)
        return batch.given.pixels

    foggy = pixels(images, 0, config)
    assert torch.equal(pixels(images.flip(0), 0, config).flip(0), foggy)
    assert not torch.equal(pixels(images, 1, config), foggy)
    clear = pixels(images, 0, QUICK).float() / 255
    for image in range(4):  # v * (1 - veil) + veil * light: one line for all views
        slope, offset = np.polyfit(clear[image].flatten(), foggy[image].flatten() / 255, 1)
        fitted = slope * clear[image] + offset
        assert float((fitted - foggy[image] / 255).abs().max()) < 0.01
        assert 0.3 < slope < 0.9


def test_training_from_pixels_goes_on_bit_for_bit(
    few: Manifest, backbone: Backbone, spec: FeatureSpec, tiny: Tiny, tmp_path: Path
) -> None:
    config = dataclasses.replace(QUICK, epochs=2, ema=0.9, run=RunConfig(checkpoint_seconds=0))

    class Stopped(Exception):
        pass

    class Alone(Processes):
        calls = 0

        def any(self, flag: bool) -> bool:
            self.calls += 1
            if self.calls == 8:
                raise Stopped
            return flag

    def run(together: Processes | None = None, folder: Path | None = None) -> dict[str, bytes]:
        trained = train(
            *(few, backbone, spec, tiny.store, config),
            copies=1,
            run_folder=folder,
            together=together,
        )
        learned = trained.bundle.detector.state_dict() | dict(trained.bundle.backbone_weights)
        return {name: value.numpy().tobytes() for name, value in learned.items()}

    whole = run()
    with pytest.raises(Stopped):
        run(Alone(), tmp_path / "run")
    assert run(folder=tmp_path / "run") == whole


def test_what_it_learned_is_checked_when_it_is_read(
    trained: tuple[Trained, Path], tmp_path: Path
) -> None:
    folder, bundle = tmp_path / "model", trained[0].bundle
    shutil.copytree(trained[1] / "model", folder)
    read = read_bundle(folder).backbone_weights
    assert read.keys() == bundle.backbone_weights.keys()
    assert all(torch.equal(value, bundle.backbone_weights[n]) for n, value in read.items())
    file = folder / "backbone.safetensors"
    whole = file.read_bytes()
    for damage in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        file.write_bytes(damage)
        with pytest.raises(BundleError, match=r"backbone\.safetensors is not the file that"):
            read_bundle(folder)
    file.unlink()
    with pytest.raises(BundleError, match=r"backbone\.safetensors is not the file that"):
        read_bundle(folder)
    assert "what it has learned is in backbone.safetensors" in (folder / "NOTICE.txt").read_text()


def test_learned_weights_that_are_not_finite_are_named(
    trained: tuple[Trained, Path], tmp_path: Path
) -> None:
    bundle = trained[0].bundle
    weights = {name: value * torch.nan for name, value in bundle.backbone_weights.items()}
    write_bundle(dataclasses.replace(bundle, backbone_weights=weights), tmp_path / "model")
    with pytest.raises(BundleError, match=r"backbone\.safetensors: .*conv_pw.* not finite"):
        read_bundle(tmp_path / "model")


def test_weights_of_another_backbone_are_refused(
    trained: tuple[Trained, Path], tmp_path: Path
) -> None:
    bundle = trained[0].bundle
    name, value = next(iter(bundle.backbone_weights.items()))
    for number, (weights, message) in enumerate(
        [
            ({name: value[:1].clone()}, r"backbone\.safetensors: the tensor .* does not fit"),
            ({name: value}, r"was not learned on these weights of lite0; .*--weights"),
        ]
    ):
        folder = tmp_path / str(number)
        write_bundle(dataclasses.replace(bundle, backbone_weights=weights), folder)
        with pytest.raises(BundleError, match=message):
            load(folder)


def test_without_peft_nothing_long_begins(
    few: Manifest,
    backbone: Backbone,
    spec: FeatureSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'workzone\[train\]'"):
        train(few, backbone, spec, tmp_path / "features", QUICK)
    assert not (tmp_path / "features").exists()


def test_the_command_trains_from_pixels_and_judges_with_what_was_learned(
    few: Manifest, tmp_path: Path
) -> None:
    path = few.root / "few.parquet"
    write_manifest(few, path)
    (tmp_path / "layout.yaml").write_text("size: 64\ntiles: 0\nsquares: []\n")
    options = ["--layout", tmp_path / "layout.yaml", "--precision", "float32"]
    store = ["--store", tmp_path / "features"]
    settings = ["epochs=1", "adapters.rank=2", "adapters.blocks=1", "detector.glance=null"]
    model = tmp_path / "model"
    asked = ["train", path, *settings, "-o", model, "--from-pixels", *options, *store]
    tried = invoke(*asked, "--find-lr", "batch=1000")  # from pixels too
    assert f"-o {model} --from-pixels optimizer" in " ".join(tried.stdout.split())
    invoke(*asked)
    described = json.loads((model / "bundle.json").read_text())
    assert described["provenance"]["training"]["adapters"]["rank"] == 2
    judged = ["-m", model, "-o", tmp_path / "judged", "--split", "val", "--json"]
    said = json.loads(invoke("evaluate", path, *judged, *store).stdout)
    learned_hash = described["features"]["weight_hash"]
    assert said["model"]["backbone weights"] == learned_hash
    assert learned_hash != load_backbone("lite0").weight_hash
