"""A step of two gloo processes and of one, in float64, for test_gather.py (spawned processes must import it)."""

import os

import torch
import torch.distributed as dist
import torch.distributed.nn.functional as autograd_dist
from torch import nn
from torch.nn import functional as F

from sparring import norms
from sparring.attacks import FGSM, PGD, Linf
from sparring.encoders import Prototypes
from sparring.losses import info_nce
from sparring.methods import (
    ACL,
    ADR,
    ASCL,
    CLAE,
    UEL,
    AdversarialTraining,
    OrgSCL,
    Plain,
    RoCL,
    SimCLR,
    SupCon,
    SwAV,
    Trades,
)
from sparring.pairs import Frequency, Precision, PseudoLabels, Recall, same_label
from sparring.training import Gathered
from sparring.training.gather import gather_rows
from sparring.types import Batch, Outputs, Scored

PROCESSES = 2
IMAGES = 6
FGSM_ATTACK = FGSM(Linf(0.03, space="normalized", clip=False))
SUPERVISED_ATTACK = PGD(Linf(0.03), steps=2, step_size=0.02, random_start=False)
REMOVED = Precision(every=2, replacement="resample")


class Elsewhere:
    """The attack from a place that follows from x, since a random start is another one in two processes."""

    starts_at_x = False

    def __call__(self, objective, x, **settings):
        return SUPERVISED_ATTACK(objective, (x + 0.02 * torch.sin(40 * x)).clamp(0, 1), **settings)


def supervised(encoder, batch):
    """Cross-entropy of clean and attacked images, a KL divergence of their class scores, SupCon on h and on z."""
    x = batch.views[0]
    x_adv = SUPERVISED_ATTACK(
        lambda at: F.cross_entropy(encoder.outputs(at, "adv").logits, batch.labels, reduction="sum"), x, std=encoder.std
    )
    clean, adv = encoder.outputs(x), encoder.outputs(x_adv, domain="adv")
    pairs = same_label(batch.rows(torch.cat([clean.z, adv.z]), views=2, logits=torch.cat([clean.logits, adv.logits])))
    log_p, log_q = clean.logits.log_softmax(1), adv.logits.log_softmax(1)
    h, z = torch.cat([clean.h, adv.h]), torch.cat([clean.z, adv.z])
    return {
        "clean": F.cross_entropy(clean.logits, batch.labels),
        "adversarial": F.cross_entropy(adv.logits, batch.labels),
        "smooth": F.kl_div(log_q, log_p, reduction="batchmean", log_target=True),
        "contrast h": info_nce(h, h, pairs, 0.2),
        "contrast z": info_nce(z, z, pairs, 0.2),
    }


METHODS = {
    "plain": Plain(),
    "uel": UEL(),
    "simclr": SimCLR(),
    "supcon": SupCon(),
    "clae over plain": CLAE(base=Plain(), attack=FGSM_ATTACK),
    "clae over uel": CLAE(base=UEL(), attack=FGSM_ATTACK),
    "clae over simclr": CLAE(base=SimCLR(), attack=FGSM_ATTACK),
    "clae over simclr, PGD": CLAE(base=SimCLR(), attack=PGD(Linf(0.03), steps=3, step_size=0.01, random_start=False)),
    "simclr without nearest, resampled": SimCLR(pairs=Frequency(2, replacement="resample")),
    "plain without nearest views": Plain(pairs=Precision(2, unit="view", replacement="rescale")),
    "supcon of clusters": SupCon(pairs=PseudoLabels("resample")),
    "clae over simclr without nearest, PGD": CLAE(
        base=SimCLR(pairs=Recall(every=2, parts=6, replacement="resample")),
        attack=PGD(Linf(0.03), steps=3, step_size=0.01, random_start=False),
    ),
    "clae over uel without nearest": CLAE(base=UEL(pairs=Frequency(2, replacement="resample")), attack=FGSM_ATTACK),
    "cross-entropy and supervised contrast": supervised,
    "adversarial_training": AdversarialTraining(SUPERVISED_ATTACK),
    "trades": Trades(Elsewhere()),
    "adr": ADR(SUPERVISED_ATTACK, clean_weight=1.0),
    "ascl": ASCL(SUPERVISED_ATTACK),
    "ascl, evaluation mode": ASCL(SUPERVISED_ATTACK, attack_mode="eval", temperature=0.2),
    "org_scl": OrgSCL(),
    "rocl": RoCL(SUPERVISED_ATTACK),
    "rocl, positives inside, keys not detached": RoCL(SUPERVISED_ATTACK, positives="inside", detach_keys=False),
    "rocl without false negatives": RoCL(SUPERVISED_ATTACK, pairs=REMOVED),
    "acl": ACL(SUPERVISED_ATTACK),
    "acl a2a": ACL(SUPERVISED_ATTACK, mode="a2a"),
    "acl a2s": ACL(SUPERVISED_ATTACK, mode="a2s"),
    "acl s2s": ACL(SUPERVISED_ATTACK, mode="s2s"),
    "acl without false negatives": ACL(SUPERVISED_ATTACK, pairs=REMOVED),
    "swav": SwAV(),
    "swav with a queue and crops": SwAV(queue_from=0, crops=2),
}


class SynchronisedBatchNorm2d(nn.BatchNorm2d):
    """Batch statistics of all processes' images; torch's SyncBatchNorm exists on GPUs alone."""

    def forward(self, x):
        if not (self.training and dist.is_initialized()):
            return super().forward(x)
        count = dist.get_world_size() * x.numel() / x.shape[1]
        mean = autograd_dist.all_reduce(x.sum(dim=(0, 2, 3))) / count
        var = autograd_dist.all_reduce((x - mean[:, None, None]).square().sum(dim=(0, 2, 3))) / count
        if self.track_running_stats:
            with torch.no_grad():
                self.running_mean.lerp_(mean.detach(), self.momentum)
                self.running_var.lerp_(var.detach() * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return (x - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]


class Network(nn.Module):
    """conv-BN-ReLU twice, linear, unit length; both domains; class scores if asked."""

    std = (0.2, 0.25, 0.3)

    def __init__(self, classes=None, prototypes=None):
        super().__init__()
        torch.manual_seed(3)
        layers = [nn.Conv2d(3, 5, 3, padding=1), SynchronisedBatchNorm2d(5), nn.ReLU()]
        layers += [nn.Conv2d(5, 6, 3, padding=1), SynchronisedBatchNorm2d(6), nn.ReLU()]
        self.trunk = norms.convert(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten()))
        self.head = nn.Linear(24, 8)
        self.classifier = None if classes is None else nn.Linear(24, classes)
        self.prototypes = None if prototypes is None else Prototypes(prototypes, 8, queue=10)

    def represent(self, x, domain="clean"):
        with norms.use_domain(self.trunk, domain):
            return self.trunk((x - 0.5) / torch.tensor(self.std, dtype=x.dtype).view(3, 1, 1))

    def forward(self, x, domain="clean"):
        return F.normalize(self.head(self.represent(x, domain)), dim=-1)

    def outputs(self, x, domain="clean"):
        h = self.represent(x, domain)
        return Outputs(h, F.normalize(self.head(h), dim=-1), self.classifier(h))

    def scored(self, x, domain="clean"):
        z = self(x.flatten(0, -4), domain).unflatten(0, x.shape[:-3])
        return Scored(z, self.prototypes(z))


class Step(nn.Module):
    """What DistributedDataParallel wraps in training: its forward is the whole step."""

    def __init__(self, network, method):
        super().__init__()
        self.network, self.method = network, method

    def forward(self, views, labels):
        first = dist.get_rank() * len(labels) if dist.is_initialized() else 0
        crops = views[..., 1:6, 2:7] if getattr(self.method, "crops", 0) else None
        labels = gather_rows(labels, dim=0)
        batch = Batch(views, labels=labels, first=first, crops=crops, pseudo_labels=labels % 2, epoch=4)
        batch.shared_generator = torch.Generator().manual_seed(9)
        world = dist.get_world_size() if dist.is_initialized() else 1
        terms = self.method(Gathered(self.network), batch)
        return torch.stack(list(terms.values())).sum() * world


def step(method, rank, world, images=IMAGES):
    """Loss, gradients and running statistics of one step on this process's part of the batch's first `images`."""
    classes = 3 if method is supervised or getattr(method, "classifies", False) else None
    network = Network(classes, 7 if isinstance(method, SwAV) else None).double().train()
    if network.prototypes is not None:  # a queue that is not yet full
        network.prototypes.queue[:, :4] = F.normalize(torch.randn(2, 4, 8, dtype=torch.float64), dim=-1)
    # Two clean domains would leave parameters of the other one without a gradient, which DDP must be told.
    both = method is supervised or getattr(method, "dual", False)
    module = Step(network, method)
    if world > 1:
        module = nn.parallel.DistributedDataParallel(module, find_unused_parameters=not both)
    generator = torch.Generator().manual_seed(5)
    views = torch.rand(2, IMAGES, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.arange(IMAGES) % 3
    own = slice(rank * images // world, (rank + 1) * images // world)
    loss = module(views[:, own], labels[own])
    loss.backward()
    values = {"loss": loss.detach() / world}
    values |= {f"gradient {n}": p.grad for n, p in network.named_parameters() if p.grad is not None}
    return values | {f"buffer {n}": b.clone() for n, b in network.named_buffers() if b.is_floating_point()}


def process(rank, port, path):
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    values = {name: step(method, rank, PROCESSES) for name, method in METHODS.items()}
    if rank == 0:
        torch.save(values, path)
    dist.destroy_process_group()
