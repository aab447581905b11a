"""Measuring encoders and classifiers: clean and robust accuracy with intervals, corruptions, and whether to believe them."""

from sparring.evaluation.aff import AFF, AFFSingle, CleanFinetuning
from sparring.evaluation.check import check_robustness
from sparring.evaluation.classifier import OnFeatures, SoftKNN, check_classifier
from sparring.evaluation.corrupted import corruption_accuracy
from sparring.evaluation.corruption_error import mean_corruption_error
from sparring.evaluation.evaluate import evaluate, protocols
from sparring.evaluation.features import evaluation_mode, features
from sparring.evaluation.finetuned import finetuning, fit_and_measure
from sparring.evaluation.finetuning import Finetuning
from sparring.evaluation.intervals import (
    bootstrap_interval,
    mean_interval,
    mean_per_class,
    paired_difference,
    paired_images,
    wilson,
)
from sparring.evaluation.knn import knn, knn_predict
from sparring.evaluation.lbfgs import fit_l2
from sparring.evaluation.linear import fit_linear
from sparring.evaluation.linear_evaluation import Linear003, Linear003SupCon, RoCLLinear, RoCLRobustLinear
from sparring.evaluation.logistic import accuracy, fit_logistic
from sparring.evaluation.named import attack_names, named_attack
from sparring.evaluation.protocols import KNN, Linear, Logistic
from sparring.evaluation.representation import RepresentationAttack, movement
from sparring.evaluation.robust import Attacked, attacked, predictions
from sparring.evaluation.robustness import Robustness, measure_robustness
from sparring.evaluation.semi_supervised import Semi1, Semi10, SemiSupervised
from sparring.evaluation.slf import ALF, SLF
from sparring.evaluation.transfer import Transfer
from sparring.evaluation.trust import Check, Trust, trust_checks

__all__ = [
    "AFF",
    "ALF",
    "KNN",
    "SLF",
    "AFFSingle",
    "Attacked",
    "Check",
    "CleanFinetuning",
    "Finetuning",
    "Linear",
    "Linear003",
    "Linear003SupCon",
    "Logistic",
    "OnFeatures",
    "RepresentationAttack",
    "RoCLLinear",
    "RoCLRobustLinear",
    "Robustness",
    "Semi1",
    "Semi10",
    "SemiSupervised",
    "SoftKNN",
    "Transfer",
    "Trust",
    "accuracy",
    "attack_names",
    "attacked",
    "bootstrap_interval",
    "check_classifier",
    "check_robustness",
    "corruption_accuracy",
    "evaluate",
    "evaluation_mode",
    "features",
    "finetuning",
    "fit_and_measure",
    "fit_l2",
    "fit_linear",
    "fit_logistic",
    "knn",
    "knn_predict",
    "mean_corruption_error",
    "mean_interval",
    "mean_per_class",
    "measure_robustness",
    "movement",
    "named_attack",
    "paired_difference",
    "paired_images",
    "predictions",
    "protocols",
    "trust_checks",
    "wilson",
]
