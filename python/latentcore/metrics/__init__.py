"""Arrays in, numbers out."""

from latentcore.metrics.calibration import Reliability, calibration_error, reliability
from latentcore.metrics.classification import ClassificationReport, classification_report
from latentcore.metrics.frechet import frechet_distance
from latentcore.metrics.image import ms_ssim, mse, psnr, ssim
from latentcore.metrics.ranking import (
    GroupedAUC,
    auc_by,
    background_rejection,
    roc_auc,
    roc_auc_interval,
    roc_curve,
)

__all__ = [
    "ClassificationReport",
    "GroupedAUC",
    "Reliability",
    "auc_by",
    "background_rejection",
    "calibration_error",
    "classification_report",
    "frechet_distance",
    "ms_ssim",
    "mse",
    "psnr",
    "reliability",
    "roc_auc",
    "roc_auc_interval",
    "roc_curve",
    "ssim",
]
