"""Images that a process loads once."""

from dataclasses import replace

from sparring.config import DataConfig
from sparring.data import images_kept, kept, load_images


def test_images_of_a_grid_are_loaded_once_a_process(monkeypatch):
    loads, load = [], kept.sets.load_images
    monkeypatch.setattr(kept, "_kept", {})
    monkeypatch.setattr(kept.sets, "load_images", lambda config, **words: loads.append(1) or load(config, **words))
    config = DataConfig(name="digits", image_size=8, train_images=20, test_images=10)
    with images_kept():
        first = load_images(config, seed=0)
        with images_kept():
            assert load_images(replace(config, views="none"), seed=0) is first
        other = load_images(config, seed=1)
        assert other is not first and load_images(config, seed=0) is first and len(loads) == 2
        for seed in range(2, kept.FEW + 1):
            load_images(config, seed=seed)
        assert load_images(config, seed=0) is not first  # only the last few stay
    loads.clear()
    assert load_images(config, seed=0) is not load_images(config, seed=0) and len(loads) == 2
