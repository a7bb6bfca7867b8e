"""Arrays in, numbers out."""

from latentcore.metrics.classification import ClassificationReport, classification_report
from latentcore.metrics.image import mse, psnr, ssim

__all__ = ["ClassificationReport", "classification_report", "mse", "psnr", "ssim"]
