"""Every way a folder or a machine can be wrong ends in one clear sentence, before anything is loaded."""

import json
import shutil

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")

from safetensors.torch import load_file, save_file

from deployments.errors import ConfigurationError
from deployments.model.vllm import compat, preflight
from deployments.model.vllm.settings import VllmSettings

pytestmark = pytest.mark.vllm

GIB = 2**30
SIZES = {"base_size": 256, "image_size": 192}  # of the tiny model's views


@pytest.fixture
def folder(model_folder, tmp_path):
    return shutil.copytree(model_folder, tmp_path / "model", copy_function=shutil.copyfile)


def refusal(folder, **settings):
    settings = VllmSettings(model=str(folder), **(SIZES | settings))
    with pytest.raises(ConfigurationError) as refused:
        preflight.check(settings, preflight.locate(settings).folder)
    return refused.value.message


def shards(folder):
    return sorted(folder.glob("*.safetensors"))


def test_a_whole_folder_passes_and_gives_its_tokenizer(model_folder):
    settings = VllmSettings(model=str(model_folder), **SIZES)
    found = preflight.locate(settings)
    assert found == (model_folder, None)
    assert preflight.check(settings, model_folder).token_to_id("<image>") == 128815


@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "~/model", "a/b/c", "model"])
def test_a_missing_folder(name):
    with pytest.raises(ConfigurationError, match="does not exist"):
        preflight.locate(VllmSettings(model=name))


def test_a_hub_model_that_cannot_be_had(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr(preflight, "snapshot_download", offline)
    with pytest.raises(ConfigurationError, match=r"no/model \(revision v1\).*could not be fetched"):
        preflight.locate(VllmSettings(model="no/model", revision="v1"))


def test_a_hub_model_is_known_by_its_commit(monkeypatch, model_folder, tmp_path):
    snapshot = tmp_path / "0123abc"
    monkeypatch.setattr(preflight, "snapshot_download", lambda *_, **__: str(snapshot))
    assert preflight.locate(VllmSettings(model="some/model")) == (snapshot, "0123abc")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model-00002-of-000002.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors.index.json"])
def test_a_damaged_file_is_named(folder, name):
    (folder / name).write_text("{")
    assert name in refusal(folder)


@pytest.mark.parametrize("change", [{"architectures": ["DeepseekOCRForCausalLM"]}, {"vision_config": {}}])
def test_another_model(folder, change):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    assert "holds another model" in refusal(folder)


@pytest.mark.parametrize("size", ["base_size", "image_size"])
def test_sizes_that_are_not_the_models(folder, size):
    assert "global views of 256 pixels and tiles of 192" in refusal(folder, **{size: 640})


def test_another_models_tokenizer(folder):
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"<image>"', '"<img>"'))
    assert "another model's tokenizer" in refusal(folder)


@pytest.mark.parametrize("keep", [0, 7, 100, 1_000_000])
def test_a_shard_that_was_cut_off(folder, keep):
    with shards(folder)[0].open("r+b") as file:
        file.truncate(keep)
    message = refusal(folder)
    assert "incomplete" in message
    assert shards(folder)[0].name in message


def test_a_git_lfs_pointer(folder):
    shards(folder)[1].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    assert "git lfs pull" in refusal(folder)


def test_a_tensor_that_only_the_index_knows(folder):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"]["model.layers.99.extra"] = shards(folder)[0].name
    path.write_text(json.dumps(index))
    assert "lacks 1 tensors that its index names, model.layers.99.extra" in refusal(folder)


def rewrite(folder, change):
    """Change the model's tensors, which are in one file afterwards, without an index."""
    first, *others = shards(folder)
    tensors = load_file(first)
    for path in others:
        tensors |= load_file(path)
        path.unlink()
    change(tensors)
    save_file(tensors, first)
    (folder / "model.safetensors.index.json").unlink()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t.pop("lm_head.weight"), "lm_head.weight is missing"),
        (lambda t: t.pop("model.qwen2_model.query_768.weight"), "query_768.weight is missing"),
        (lambda t: t.update(surplus=t["lm_head.weight"][:1].clone()), "surplus is not part of this model"),
        (
            lambda t: t.update({"lm_head.weight": t["lm_head.weight"][:5].clone()}),
            "lm_head.weight is 5x64 instead of",
        ),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(folder, change, says):
    rewrite(folder, change)
    assert says in refusal(folder)


def test_no_weights_at_all(folder):
    for path in [*shards(folder), folder / "model.safetensors.index.json"]:
        path.unlink()
    assert "no safetensors weights" in refusal(folder)
    settings = VllmSettings(model=str(folder), **SIZES, load_format="dummy")
    preflight.check(settings, folder)


@pytest.mark.parametrize("version", ["0.25.1", "0.34.0", "1.0.0"])
def test_an_unsupported_release(monkeypatch, version):
    monkeypatch.setattr(compat.metadata, "version", lambda name: version)
    with pytest.raises(ConfigurationError, match=rf"vLLM {version} is not supported. Install"):
        compat.installed()


def test_no_vllm(monkeypatch):
    def missing(name):
        raise compat.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(compat.metadata, "version", missing)
    with pytest.raises(ConfigurationError, match="vLLM is not installed"):
        compat.installed()


def test_a_torchvision_for_another_torch(monkeypatch):
    monkeypatch.setattr(preflight.metadata, "requires", lambda name: ["numpy", "torch==2.11.0"])
    monkeypatch.setattr(preflight.metadata, "version", {"torch": "2.13.0+cpu", "torchvision": "0.26.0"}.get)
    with pytest.raises(ConfigurationError, match=r"torchvision 0.26.0 was made for torch==2.11.0"):
        preflight.check_torchvision()
    monkeypatch.setattr(preflight.metadata, "version", {"torch": "2.11.0+cu130", "torchvision": "0.26.0"}.get)
    preflight.check_torchvision()


def gpu(total=140 * GIB, free=None, capability=(9, 0)):
    return compat.Gpu("Test GPU", capability, total, total if free is None else free)


@pytest.mark.parametrize(
    ("gpus", "settings", "says"),
    [
        ([], {}, "needs 1 NVIDIA GPU and finds 0"),
        ([gpu()], {"tensor_parallel_size": 2}, "needs 2 NVIDIA GPUs and finds 1"),
        ([gpu(capability=(7, 5))], {}, "compute capability 7.5; the model needs 8.0"),
        ([gpu(total=8 * GIB)], {}, "needs about 9."),
        ([gpu(free=20 * GIB)], {"gpu_memory_utilization": 0.5}, "20.0 GiB free, and .* asks for 70.0"),
    ],
)
def test_a_gpu_that_will_not_do(monkeypatch, gpus, settings, says):
    monkeypatch.setattr(compat, "gpus", lambda: gpus)
    with pytest.raises(ConfigurationError, match=says):
        preflight.check_gpus(VllmSettings(**settings), preflight.DUMMY_WEIGHT_BYTES)


def test_a_gpu_that_will_do(monkeypatch):
    monkeypatch.setattr(compat, "gpus", lambda: [gpu(total=24 * GIB, capability=(8, 0))])
    preflight.check_gpus(VllmSettings(), preflight.DUMMY_WEIGHT_BYTES)
