"""Start the page: Streamlit, with every setting given, asking for nothing from anywhere."""

import ipaddress
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vocalics.app import look
from vocalics.app.settings import FORGET_AFTER_S, LARGEST_UPLOAD_MB, Settings
from vocalics.errors import MissingExtraError, UsageError

#: What Streamlit runs.
MAIN = Path(__file__).with_name("main.py")


def serve(models: tuple[str, ...], host: str, port: int, browser: bool, tell: Callable[[str], None]) -> None:
    """Show the page until Ctrl-C.

    Parameters
    ----------
    models
        Names or paths of models that are offered before the bundled ones.
    host, port
        Where it is reached. Port 0 takes a free one.
    browser
        Whether to open a browser.
    tell
        Hears where the page is.

    Raises
    ------
    MissingExtraError
        Streamlit or Plotly is not installed.
    ModelError
        A model cannot be used.
    UsageError
        Nothing can listen at that host and port.
    """
    if find_spec("streamlit") is None or find_spec("plotly") is None:
        raise MissingExtraError("The page needs Streamlit: pip install 'vocalics[app]'")
    from streamlit.web import bootstrap

    from vocalics.recognition.model import load

    for model in models:
        load(model)  # what is wrong with it is told now, not in the browser
    port = _free_port(host, port)
    settings = Settings(models, folders=is_loopback(host))
    options = _options(host, port, browser)
    bootstrap.load_config_options(options)
    tell(f"the page is at http://{f'[{host}]' if ':' in host else host}:{port}; Ctrl-C ends it.")
    bootstrap.run(str(MAIN), False, settings.to_arguments(), options)


def is_loopback(host: str) -> bool:
    """Say whether only this machine reaches a host.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0; refuse one that cannot be listened at."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UsageError(
            f"nothing can listen at {host}, port {port}: {error.strerror}; choose another --port or --host."
        ) from None


def _options(host: str, port: int, browser: bool) -> dict[str, Any]:
    """Return Streamlit's settings, which stand above those of a file of the user's."""
    options: dict[str, Any] = {
        "server.address": host,
        "server.port": port,
        "server.maxUploadSize": LARGEST_UPLOAD_MB,
        "server.enableXsrfProtection": True,
        "server.enableCORS": True,
        # A page elsewhere that lets its own name point here is refused.
        "server.allowedHosts": [host, "localhost", "127.0.0.1", "::1"] if is_loopback(host) else [],
        "server.disconnectedSessionTTL": round(2 * FORGET_AFTER_S),  # until then it is kept, see `memory`
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.enableStaticServing": False,
        "server.enableAgentApi": False,
        "browser.gatherUsageStats": False,
        "client.toolbarMode": "viewer",
        "client.showErrorDetails": "type",  # a fault of ours; what people can do about is told as a sentence
        "client.showErrorLinks": False,
        "client.disableDataExport": True,  # of what a table shows; the page offers all of it
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,  # which asks a server elsewhere for this machine's address
        "runner.magicEnabled": False,
        **look.theme_options(),
    }
    if not browser:
        options["server.headless"] = True  # else Streamlit finds out whether there is a screen
    return options
