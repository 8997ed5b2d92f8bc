"""Int8 networks learned end to end from the outputs of their fp32 form."""

from quantkit.tuning.distillation.augmentation import Augmentation
from quantkit.tuning.distillation.learning import DistillReport, Learned, learn
from quantkit.tuning.distillation.setting import DistillSetting, Rates

__all__ = ["Augmentation", "DistillReport", "DistillSetting", "Learned", "Rates", "learn"]
