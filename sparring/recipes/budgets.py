"""How far a recipe is scaled down: the one place in which epochs, data and attacks shrink. Every figure says its budget."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sparring.config import DataConfig, RunConfig
from sparring.measuring import LatentConfig, RobustnessConfig

MADE = "untrained weights made on the spot"


@dataclass(frozen=True)
class Budget:
    """One size. None leaves what the paper has."""

    name: str
    label: str
    """Stands beside every figure."""
    weights: str = ""
    """The same for others' weights, of which nothing is trained: what they are measured on."""
    weights_size: int | None = None
    """At most so many pixels a side of what they are measured on."""
    encoder: str | None = None
    encoders: tuple[tuple[str, str], ...] = ()
    """What stands in for encoders other than that, by the end of their names, so that no two rows become one model."""
    epochs: int | None = None
    batch_size: int | None = None
    in_proportion: bool = False
    """Whether epochs and batch size are those of the method's published setting, and epochs of a logistic regression those
    of 1,000, from which a row departs in proportion; else every row has these epochs, and at most this batch size."""
    image_size: int | None = None
    """At most so many pixels a side."""
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
    schedule: str = ""
    """Where schedules of learning rates are not those of the label: a line below every table."""

    def label_of_weights(self, *, made: bool) -> str:
        """Stands beside the figures of others' weights, or of untrained ones made for a smoke test."""
        return f"{self.name}: {MADE if made else 'weights as given'}, {self.weights}"

    @property
    def labels(self) -> tuple[str, ...]:
        """All that this size is called."""
        return (self.label, self.label_of_weights(made=False), self.label_of_weights(made=True))

    def scaled(self, run: RunConfig) -> RunConfig:
        """The row's run at this size: complete first, so that optimiser and schedule are those of the paper's encoder."""
        from sparring.training import build_method, resolve

        full = resolve(run)
        if self.name == "full":
            return full
        training, optimizer, data, evaluation = full.training, full.optimizer, full.data, full.evaluation
        assert training.epochs is not None and training.batch_size is not None and evaluation.knn_k is not None
        epochs = self.epochs or training.epochs
        batch_size = min(self.batch_size or training.batch_size, training.batch_size)
        if self.in_proportion:
            published = build_method(full).settings
            epochs = max(1, round(epochs * training.epochs / published.epochs))
            batch_size = max(
                2, round((self.batch_size or training.batch_size) * training.batch_size / published.batch_size)
            )
        if optimizer.name in ("sgd", "lars") and optimizer.lr is not None:
            optimizer = replace(optimizer, lr=optimizer.lr * batch_size / training.batch_size)
        if optimizer.schedule == "step":
            # a tenth of the epochs at a tenth of the rate would learn nothing; a cosine spends them evenly
            optimizer = replace(optimizer, schedule="cosine", milestones=[], factors=[])
        removal = full.removal
        if removal.every is not None:  # its schedule is counted in epochs
            exact = removal.every * epochs / training.epochs
            every = max(1, round(exact))
            # Recall ends after every * parts / 2 epochs: whole epochs in `every` must not move that end
            recall = full.method.pairs == "recall" and removal.parts is not None
            parts = max(1, round(removal.parts * exact / every)) if recall else removal.parts
            removal = replace(removal, every=every, parts=parts)
        return replace(
            full,
            removal=removal,
            data=replace(brought(data, self.image_size), train_images=self.train_images, test_images=self.test_images),
            encoder=replace(full.encoder, name=self.instead_of(str(full.encoder.name))),
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
                logistic_epochs=self.classifier_epochs(evaluation.logistic_epochs),
                finetune_epochs=self.finetune_epochs,
            ),
        )

    def instead_of(self, encoder: str) -> str:
        """What stands in for an encoder."""
        deeper = [ours for theirs, ours in self.encoders if encoder.endswith(theirs)]
        return deeper[0] if deeper else self.encoder or encoder

    def classifier_epochs(self, epochs: int | None) -> int | None:
        """Epochs of a logistic regression."""
        if self.in_proportion and epochs and self.epochs_of_classifiers:
            return max(1, round(self.epochs_of_classifiers * epochs / LOGISTIC_EPOCHS))
        return least(epochs, self.epochs_of_classifiers)

    def of(self, recipe: str) -> Budget:
        """This size as it is for a recipe of that name: its own or its paper's where there is one."""
        from sparring.recipes.own_sizes import OWN

        own = OWN.get((recipe, self.name)) or OWN.get((recipe.partition(".")[0], self.name))
        return own if own is not None and self == BUDGETS[self.name] else self

    def robustness(self, config: RobustnessConfig) -> RobustnessConfig:
        """A robust evaluation at this size."""
        if self.name == "full":
            return config
        strong = any(name.startswith(("autoattack", "mpgd")) for name in config.attack)
        return replace(
            config,
            attack=list(dict.fromkeys(self.attack(name) for name in config.attack)),
            images=least(config.images, self.strongest if strong else self.attacked),
            trust=False,
            trust_images=least(config.trust_images, self.looked) or config.trust_images,
            square_queries=self.square_queries,
        )

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

    @property
    def penalties(self) -> int | None:
        """How many l2 penalties of a transfer are tried; None is the paper's 45."""
        return 5 if self.name == "smoke" else None

    def latent(self, config: LatentConfig) -> LatentConfig:
        """A look into the latent space at this size."""
        if self.name == "full":
            return config
        images = least(config.images, self.looked)
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


LOGISTIC_EPOCHS = 1000
"""Of a logistic regression in CLAE's tables, which `in_proportion` starts from."""


def least(value: int | None, limit: int | None) -> int | None:
    """The smaller one; None is no limit."""
    given = [number for number in (value, limit) if number is not None]
    return min(given) if given else None


def brought(data: DataConfig, limit: int | None) -> DataConfig:
    """The images at no more than `limit` pixels a side, what is resized before the crop in proportion."""
    size = least(data.image_size, limit)
    if data.resize is None or data.image_size is None or size is None:
        return replace(data, image_size=size)
    return replace(data, image_size=size, resize=round(data.resize * size / data.image_size))


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
    weights="6,000 training images, 1,000 under attack",
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
    weights="200 training images, 32 under attack, of at most 32 pixels a side",
    weights_size=32,
)
FULL = Budget("full", "full: the paper's encoder, images and epochs", weights="all images")
BUDGETS = {budget.name: budget for budget in (FULL, SHORT, SMOKE)}


def labelled(label: str) -> Budget:
    """The size that stands beside figures by that label; ValueError if there is none."""
    from sparring.recipes.own_sizes import OWN

    for budget in (*BUDGETS.values(), *OWN.values()):
        if label in budget.labels:
            return budget
    raise ValueError(f"no size of this version has the label {label!r}")
