"""Adversarial finetuning as plain loops: PGD on one value an image, TRADES with two batch norms, SGD with momentum.

The network is conv - batch norm - ReLU - mean over each quarter of the image - linear, on (x - 0.5) / std.
"""

import torch
from torch.nn import functional as F


def network(x, weights, norm, std, training, momentum=None):
    """Logits; in training mode with the batch's statistics, of which `norm` keeps a running mean."""
    x = F.conv2d((x - 0.5) / std, weights["conv.weight"], weights["conv.bias"], padding=1)
    if training:
        count = x.numel() / x.shape[1]
        mean, variance = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        with torch.no_grad():
            norm["mean"] = (1 - momentum) * norm["mean"] + momentum * mean
            norm["var"] = (1 - momentum) * norm["var"] + momentum * variance * count / (count - 1)
    else:
        mean, variance = norm["mean"], norm["var"]
    shape = (1, -1, 1, 1)
    x = (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
    x = (x * norm["weight"].view(shape) + norm["bias"].view(shape)).relu()
    half = x.shape[2] // 2
    quarters = [x[:, :, r : r + half, c : c + half].mean(dim=(2, 3)) for r in (0, half) for c in (0, half)]
    h = torch.stack(quarters, dim=2).flatten(1)
    return h @ weights["head.weight"].T + weights["head.bias"]


def kl(p_logits, q_logits):
    """KL(p || q) of each image, class by class."""
    p, q = p_logits.softmax(1), q_logits.softmax(1)
    rows = []
    for i in range(len(p)):
        rows.append(sum(p[i, k] * (p[i, k].log() - q[i, k].log()) for k in range(p.shape[1])))
    return torch.stack(rows)


def cross_entropy(logits, y):
    """The mean of -log p_y."""
    return -sum(logits[i].softmax(0)[y[i]].log() for i in range(len(y))) / len(y)


def pgd(value, x, eps, step_size, steps):
    """From x itself; value: one number an image."""
    x_adv = x.clone()
    for _ in range(steps):
        x_adv = x_adv.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(x_adv).sum(), x_adv)
        x_adv = x_adv.detach() + step_size * gradient.sign()
        x_adv = torch.minimum(torch.maximum(x_adv, x - eps), x + eps).clamp(0, 1)
    return x_adv


def descent(weights, gradients, velocity, lr, momentum, weight_decay):
    """v <- m v + (g + d w);  w <- w - lr v, for every named weight."""
    for name, gradient in gradients.items():
        with torch.no_grad():
            gradient = gradient + weight_decay * weights[name]
            velocity[name] = momentum * velocity[name] + gradient if name in velocity else gradient
            weights[name] = (weights[name] - lr * velocity[name]).detach().requires_grad_()


def aff(
    x, y, weights, norms, std, *, steps, lr, beta, weight_decay=2e-4, eps=8 / 255, step_size=2 / 255, attack_steps=10
):
    """`steps` whole-batch steps of TRADES finetuning; clean and adversarial images through norms of their own."""
    velocity = {}
    for _ in range(steps):
        with torch.no_grad():
            target = network(x, weights, norms["clean"], std, training=False)
        x_adv = pgd(
            lambda v, target=target: kl(target, network(v, weights, norms["adv"], std, training=False)),
            x,
            eps,
            step_size,
            attack_steps,
        )
        clean = network(x, weights, norms["clean"], std, True, momentum=0.1)
        adversarial = network(x_adv, weights, norms["adv"], std, True, momentum=0.01)
        loss = cross_entropy(clean, y) + beta * kl(clean, adversarial).mean()
        free = {name: weight for name, weight in weights.items()}
        free |= {f"{d}.{key}": norms[d][key] for d in norms for key in ("weight", "bias")}
        gradients = dict(zip(free, torch.autograd.grad(loss, list(free.values())), strict=True))
        descent(free, gradients, velocity, lr, 0.9, weight_decay)
        for name in weights:
            weights[name] = free[name]
        for domain in norms:
            for key in ("weight", "bias"):
                norms[domain][key] = free[f"{domain}.{key}"]
    return weights, norms
