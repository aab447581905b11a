"""Measuring a frozen encoder: features computed once, kNN, logistic regression, linear probe, with intervals."""

from sparring.evaluation.classifier import OnFeatures, SoftKNN, check_classifier
from sparring.evaluation.evaluate import evaluate, protocols
from sparring.evaluation.features import evaluation_mode, features
from sparring.evaluation.intervals import mean_interval, paired_difference, wilson
from sparring.evaluation.knn import knn, knn_predict
from sparring.evaluation.linear import fit_linear
from sparring.evaluation.logistic import accuracy, fit_logistic
from sparring.evaluation.protocols import KNN, Linear, Logistic
from sparring.evaluation.representation import RepresentationAttack, movement
from sparring.evaluation.slf import SLF

__all__ = [
    "KNN",
    "SLF",
    "Linear",
    "Logistic",
    "OnFeatures",
    "RepresentationAttack",
    "SoftKNN",
    "accuracy",
    "check_classifier",
    "evaluate",
    "evaluation_mode",
    "features",
    "fit_linear",
    "fit_logistic",
    "knn",
    "knn_predict",
    "mean_interval",
    "movement",
    "paired_difference",
    "protocols",
    "wilson",
]
