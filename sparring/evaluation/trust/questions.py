"""The thirteen checks as questions to what is measured: which figures each of them needs."""

from __future__ import annotations

from collections.abc import Callable

from sparring.attacks import FGSM, AutoAttack, Untargeted
from sparring.evaluation.features import evaluation_mode as in_evaluation_mode
from sparring.evaluation.robust import excess, predictions
from sparring.evaluation.trust import handover, judge_attacks, judge_model
from sparring.evaluation.trust.check import Against, Check
from sparring.evaluation.trust.measure import CURVE_STEPS, DRAWS, Measured, NotMeasured, worst_rise
from sparring.types import Domain


def eps_to_chance(m: Measured) -> Check:
    """`judge_attacks.eps_to_chance` of what was measured."""
    correct = [int(mask.sum()) for mask in m.at_radii]
    return judge_attacks.eps_to_chance(m.radii, correct, len(m.y), m.chance, worst_rise(m.at_radii)[0])


def more_steps(m: Measured) -> Check:
    """`judge_attacks.more_steps` of what was measured."""
    rise, (before, after) = worst_rise(m.at_steps)
    correct = [int(mask.sum()) for mask in m.at_steps]
    at = (m.steps[before], m.steps[after])
    return judge_attacks.more_steps(m.steps, correct, len(m.y), rise, at)


def beats_noise(m: Measured) -> Check:
    """`judge_attacks.weaker_than_gradients` of what was measured."""
    noise = f"Random noise of the same size ({DRAWS} draws)"
    against = m.against(m.noise(m.threat.eps), m.white_box)
    return judge_attacks.weaker_than_gradients("beats_noise", noise, against, draws=DRAWS)


def beats_square(m: Measured) -> Check:
    """`judge_attacks.weaker_than_gradients` of what was measured."""
    try:
        attack = AutoAttack(m.threat, m.seed, ("square",), queries=m.square_queries, batch_size=m.batch_size)
    except ValueError as error:
        raise NotMeasured(str(error).rstrip(".")) from error
    square = f"Square ({m.square_queries} queries)"
    against = m.against(m.survive(attack), m.white_box)
    return judge_attacks.weaker_than_gradients("beats_square", square, against, queries=m.square_queries)


def nonzero_gradients(m: Measured) -> Check:
    """`judge_model.nonzero_gradients` of what was measured."""
    m.enough_right()
    if isinstance(m.gradients, str):
        return judge_model.no_gradient(m.gradients)
    zero, zero_margin = (m.gradients[name][0] for name in ("cross_entropy", "margin"))
    not_finite = max(bad for _, bad in m.gradients.values())
    return judge_model.nonzero_gradients(int(m.right.sum()), zero, zero_margin, not_finite)


def deterministic(m: Measured) -> Check:
    """`judge_model.deterministic` of what was measured."""
    with in_evaluation_mode(m.model):
        one, two = (handover.logits(m.model, m.x, m.batch_size) for _ in range(2))
    difference = (one - two).abs().max().item()
    changed = int((one.argmax(dim=1) != two.argmax(dim=1)).sum())
    return judge_model.deterministic(len(m.y), difference, one.abs().max().item(), changed)


def logits(m: Measured) -> Check:
    """`judge_model.logits` of what was measured."""
    positive = bool((m.outputs >= 0).all())
    probabilities = positive and bool(((m.outputs.double().sum(dim=1) - 1).abs() < 1e-3).all())
    top = m.outputs.double().topk(2, dim=1).values
    gap = top[:, 0] - top[:, 1]
    return judge_model.logits(len(m.y), probabilities, gap.median().item(), gap.quantile(0.9).item())


def transfer(m: Measured) -> Check:
    """`judge_attacks.weaker_than_gradients` of what was measured."""
    m.enough_right()
    name, surrogate = "the surrogate", m.surrogate
    if surrogate is None:
        surrogate, name = m.substitute(), f"a substitute fitted to {len(m.pool)} of the model's predictions"
    x_adv = m.transferred(surrogate)
    distance, outside = excess(m.threat, m.x, x_adv, m.std)
    m.runs["Transfer"] = distance.max().item(), outside.max().item()
    agreement = (predictions(surrogate, m.x) == m.outputs.argmax(dim=1)).double().mean().item()
    survived = m.right & (predictions(m.model, x_adv, batch_size=m.batch_size) == m.y)
    words = f"Transfer from {name}"
    against = m.against(survived, m.white_box)
    return judge_attacks.weaker_than_gradients("transfer", words, against, agreement=agreement)


def evaluation_mode(m: Measured) -> Check:
    """`judge_model.evaluation_mode` of what was measured."""
    few = m.x[: handover.NEIGHBOURS]
    with in_evaluation_mode(m.model):
        ran = handover.watch(m.model, few)
        settled, again = (handover.logits(m.model, few) for _ in range(2))
        other = other_domain(m, ran)
    untrained = ran.untrained
    repeatable = handover.relative_difference(settled, again) <= judge_model.REPEATABLE
    training = handover.watch(m.model, few).training
    moved = handover.relative_difference(settled, handover.logits(m.model, few)) if repeatable else None
    return judge_model.evaluation_mode(
        training=training,
        mode_matters=moved,
        untrained=untrained,
        neighbours=handover.neighbours_matter(m.model, few) if repeatable else None,
        domain=ran.domain,
        n=len(m.y),
        clean=int((m.outputs.argmax(dim=1) == m.y).sum()),
        other=other,
    )


def within_threat(m: Measured) -> Check:
    """`judge_attacks.within_threat` of what was measured."""
    if not m.runs:
        raise NotMeasured("no attack was made")
    return judge_attacks.within_threat(m.runs)


def one_step(m: Measured) -> Check:
    """`judge_attacks.one_step` of what was measured."""
    m.differentiable()
    fgsm = int(m.survive(Untargeted(FGSM(m.threat))).sum())
    pgd = int(m.at_steps[-1].sum())
    return judge_attacks.one_step(len(m.y), int(m.right.sum()), fgsm, pgd, m.steps[-1])


def objectives(m: Measured) -> Check:
    """`judge_attacks.objectives` of what was measured."""
    margin, ce = (m.climb(name, CURVE_STEPS, m.threat.eps) for name in ("margin", "cross_entropy"))
    return judge_attacks.objectives(m.against(margin, ce))


def strong_enough(m: Measured) -> Check:
    """`judge_attacks.strong_enough` of what was measured."""
    assert m.asked is not None
    m.differentiable()
    return judge_attacks.strong_enough(m.against(m.white_box, m.asked))


def other_domain(m: Measured, ran: handover.Ran) -> tuple[Domain, Against] | None:
    """The batch norm domain that is not in use, and images right there against those right here."""
    if ran.domain is None:
        return None
    other: Domain = "clean" if ran.domain == "adv" else "adv"
    with handover.forced_domain(ran, other):
        there = predictions(m.model, m.x, batch_size=m.batch_size) == m.y
    here = m.outputs.argmax(dim=1) == m.y
    counts = [int(mask.sum()) for mask in (there, here, there & ~here, here & ~there)]
    return other, Against(len(m.y), *counts)


QUESTIONS: dict[str, Callable[[Measured], Check]] = {
    question.__name__: question
    for question in (
        eps_to_chance, more_steps, beats_noise, beats_square, nonzero_gradients, deterministic, logits, transfer,
        evaluation_mode, one_step, objectives, strong_enough, within_threat,
    )
}  # fmt: skip
"""By name; the one about ball and box comes last, when all attacks were made."""
