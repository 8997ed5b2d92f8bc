"""Forms of a layer's int8 input: a scale for each channel, with or without a zero point."""

from quantkit.tuning.forms.choice import FormSetting, choose_forms
from quantkit.tuning.forms.input_form import InputForm
from quantkit.tuning.forms.insertion import Formed, with_forms

__all__ = ["FormSetting", "Formed", "InputForm", "choose_forms", "with_forms"]
