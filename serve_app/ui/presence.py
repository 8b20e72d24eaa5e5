"""Whether the page can be served here."""

import importlib.util

from deployments.errors import ConfigurationError
from serve_app.ui.settings import UiSettings

OFF = "The page at /ui is off: it needs gradio (pip install 'dsocr[ui]') and the setting ui.enabled."


def wanted(settings: UiSettings) -> bool:
    """Tell whether the page is to be served.

    Raises:
        ConfigurationError: the settings want it, and gradio is not installed.
    """
    if settings.enabled is False:
        return False
    installed = importlib.util.find_spec("gradio") is not None
    if settings.enabled and not installed:
        raise ConfigurationError(
            "The page at /ui needs gradio, which is not installed: pip install 'dsocr[ui]', or leave "
            "ui.enabled out."
        )
    return installed
