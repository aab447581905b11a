"""How far a recipe is scaled down: the one place in which epochs, data and attacks shrink. Every figure says its budget."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sparring.config import RunConfig
from sparring.measuring import LatentConfig, RobustnessConfig


@dataclass(frozen=True)
class Budget:
    """One size. None leaves what the paper has."""

    name: str
    label: str
    """Stands beside every figure."""
    encoder: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    steps: int | None = None
    """At most so many steps of a PGD that evaluates."""
    attacked: int | None = None
    """At most so many test images under PGD."""
    strongest: int | None = None
    """At most so many under AutoAttack and multi-targeted PGD."""
    looked: int | None = None
    """At most so many test images in a look into the latent space."""
    epochs_of_classifiers: int | None = None
    """At most so many epochs of a logistic regression."""
    finetune_epochs: int | None = None
    """Epochs of linear evaluations and finetuning; their labels say so."""
    radii: int | None = None
    """At most so many attack strengths of a look into the latent space."""
    seeds: int | None = None
    """At most so many seeds."""
    report: bool = True
    """Whether a run's folder gets its analysis and report."""

    def scaled(self, run: RunConfig) -> RunConfig:
        """The row's run at this size: complete first, so that optimiser and schedule are those of the paper's encoder."""
        from sparring.training import resolve

        full = resolve(run)
        if self.name == "full":
            return full
        training, optimizer, data, evaluation = full.training, full.optimizer, full.data, full.evaluation
        epochs = self.epochs or training.epochs
        assert epochs is not None and training.batch_size is not None and evaluation.knn_k is not None
        batch_size = min(self.batch_size or training.batch_size, training.batch_size)
        if optimizer.name in ("sgd", "lars") and optimizer.lr is not None:
            optimizer = replace(optimizer, lr=optimizer.lr * batch_size / training.batch_size)
        if optimizer.schedule == "step":
            # a tenth of the epochs at a tenth of the rate would learn nothing; a cosine spends them evenly
            optimizer = replace(optimizer, schedule="cosine", milestones=[], factors=[])
        removal = full.removal
        if removal.every is not None:  # its schedule is counted in epochs
            assert training.epochs is not None
            exact = removal.every * epochs / training.epochs
            every = max(1, round(exact))
            # Recall ends after every * parts / 2 epochs: whole epochs in `every` must not move that end
            recall = full.method.pairs == "recall" and removal.parts is not None
            parts = max(1, round(removal.parts * exact / every)) if recall else removal.parts
            removal = replace(removal, every=every, parts=parts)
        return replace(
            full,
            removal=removal,
            data=replace(data, train_images=self.train_images, test_images=self.test_images),
            encoder=replace(full.encoder, name=self.encoder or full.encoder.name),
            optimizer=replace(optimizer, warmup_epochs=0),
            training=replace(
                training,
                epochs=epochs,
                batch_size=batch_size,
                precision="bf16",
                channels_last=True,
                checkpoint_every=1,
                probe_every=0,
            ),
            evaluation=replace(
                evaluation,
                knn_k=min(evaluation.knn_k, (self.train_images or 800) // 4),
                logistic_epochs=_least(evaluation.logistic_epochs, self.epochs_of_classifiers),
                finetune_epochs=self.finetune_epochs,
            ),
        )

    def robustness(self, config: RobustnessConfig) -> RobustnessConfig:
        """A robust evaluation at this size."""
        if self.name == "full":
            return config
        strong = any(name.startswith(("autoattack", "mpgd")) for name in config.attack)
        attack = [self.attack(name) for name in config.attack]
        images = _least(config.images, self.strongest if strong else self.attacked)
        return replace(config, attack=attack, images=images, trust=False, square_queries=self.square_queries)

    def attack(self, name: str) -> str:
        """An attack's, or a column's, name at this size: pgd-250 is pgd-20 where steps is 20."""
        attack, space, suffix = name.partition(" ")
        stepped = re.fullmatch(r"(m?pgd)-(\d+)", attack)
        if stepped and self.steps is not None:
            attack = f"{stepped[1]}-{min(int(stepped[2]), self.steps)}"
        elif attack == "autoattack" and self.name == "smoke":
            attack = "square"
        return f"{attack}{space}{suffix}"

    @property
    def square_queries(self) -> int:
        """Of the square attack, which stands in for AutoAttack at the smoke size."""
        return 20 if self.name == "smoke" else 1000

    def latent(self, config: LatentConfig) -> LatentConfig:
        """A look into the latent space at this size."""
        if self.name == "full":
            return config
        images = _least(config.images, self.looked)
        assert images is not None
        return replace(
            config,
            images=images,
            batch_size=min(config.batch_size, images),
            steps=min(config.steps, self.steps or config.steps),
            radii=config.radii if self.radii is None else config.radii[: self.radii],
            map_images=min(config.map_images, images),
            map_adversarial=min(config.map_adversarial, images // 2),
        )


def _least(value: int | None, limit: int | None) -> int | None:
    given = [number for number in (value, limit) if number is not None]
    return min(given) if given else None


SHORT = Budget(
    "short",
    "short: WideResNet-10-1 (78,000 parameters), 6,000 training images, 8 epochs on a cosine schedule, bf16",
    encoder="wrn-10-1",
    epochs=8,
    batch_size=128,
    train_images=6000,
    steps=20,
    attacked=1000,
    strongest=200,
    looked=300,
    epochs_of_classifiers=100,
    finetune_epochs=20,
)
SMOKE = Budget(
    "smoke",
    "smoke: WideResNet-10-1, 200 training images, 1 epoch, bf16, the square attack in AutoAttack's place",
    encoder="wrn-10-1",
    epochs=1,
    batch_size=64,
    train_images=200,
    test_images=64,
    steps=2,
    attacked=32,
    strongest=16,
    looked=32,
    epochs_of_classifiers=2,
    finetune_epochs=1,
    radii=2,
    seeds=1,
    report=False,
)
FULL = Budget("full", "full: the paper's encoder, images and epochs")
BUDGETS = {budget.name: budget for budget in (FULL, SHORT, SMOKE)}
