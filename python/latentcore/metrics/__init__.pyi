from latentcore.metrics.calibration import (
    Reliability as Reliability,
    calibration_error as calibration_error,
    reliability as reliability,
)
from latentcore.metrics.classification import (
    ClassificationReport as ClassificationReport,
    classification_report as classification_report,
)
from latentcore.metrics.frechet import frechet_distance as frechet_distance
from latentcore.metrics.image import ms_ssim as ms_ssim, mse as mse, psnr as psnr, ssim as ssim
from latentcore.metrics.ranking import (
    GroupedAUC as GroupedAUC,
    auc_by as auc_by,
    background_rejection as background_rejection,
    roc_auc as roc_auc,
    roc_auc_interval as roc_auc_interval,
    roc_curve as roc_curve,
)
