"""List the files of a data set on a Dataverse server.

Dataverse also packs a data set into one zip, but limits its size, makes it anew for each request and cannot
resume it [1]_. File by file, each comes with its digest and can be resumed.

.. [1] https://guides.dataverse.org/en/latest/api/dataaccess.html
"""

import json
from urllib.parse import quote

from vocalics.errors import DownloadError
from vocalics.lab.corpora.http import fetch_text
from vocalics.lab.corpora.info import RemoteFile


def dataset_files(base_url: str, persistent_id: str) -> tuple[RemoteFile, ...]:
    """Ask the server which files the newest version of a data set has.

    Parameters
    ----------
    base_url
        Of the server, for example ``https://borealisdata.ca``.
    persistent_id
        Of the data set, for example ``doi:10.5683/SP2/E8H2MF``.

    Raises
    ------
    DownloadError
        The server does not answer, or not as a Dataverse does.
    """
    url = f"{base_url}/api/datasets/:persistentId/?persistentId={quote(persistent_id, safe=':/')}"
    text = fetch_text(url)
    try:
        files = json.loads(text)["data"]["latestVersion"]["files"]
        return tuple(_remote_file(base_url, file) for file in files)
    except (ValueError, KeyError, TypeError):
        raise DownloadError(
            f"{url} answered something that is not a Dataverse's list of files; it begins {text[:60]!r}. "
            f"Open it in a browser, or fetch {persistent_id} by hand."
        ) from None


def _remote_file(base_url: str, file: dict[str, object]) -> RemoteFile:
    data = file["dataFile"]
    if not isinstance(data, dict):
        raise TypeError("dataFile is not an object")
    checksum = data.get("checksum") or {"type": "MD5", "value": data.get("md5") or ""}
    kind = str(checksum["type"]).lower().replace("-", "")
    folder = str(file.get("directoryLabel") or "")
    name = str(data["filename"])
    return RemoteFile(
        url=f"{base_url}/api/access/datafile/{data['id']}",
        path=f"{folder}/{name}" if folder else name,
        size_bytes=int(data["filesize"]) if "filesize" in data else None,
        digest=f"{kind}:{checksum['value']}" if checksum["value"] and kind in ("md5", "sha256") else "",
        unpack=name.lower().endswith(".zip"),
    )
