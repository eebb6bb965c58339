"""Unpack a zip archive that came from elsewhere."""

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from vocalics.errors import DownloadError

#: Speech as wav packs to half its size, perhaps to a tenth; what grows more than this is no corpus.
_LARGEST_GROWTH = 100
_SMALLEST_LIMIT_BYTES = 1 << 30
_MOST_ENTRIES = 200_000


def unpack(archive: Path, folder: Path) -> int:
    """Unpack a zip archive into a folder, and return how many files were written.

    Every name is checked before anything is written. What a Mac adds (``__MACOSX``) and hidden files are left
    out. Each file appears whole or not at all.

    Parameters
    ----------
    archive
        The zip file.
    folder
        Where its contents go.

    Raises
    ------
    DownloadError
        It is no zip archive, is damaged, names places outside the folder, or would fill the disk.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            _check(archive, content.infolist())
            wanted = [entry for entry in content.infolist() if _is_wanted(entry)]
            for entry in wanted:
                _write(content, entry, folder)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
    ) as error:  # RuntimeError: it asks for a password
        raise DownloadError(
            f"'{archive.name}' is no zip archive that can be read ({error}). Delete it and download again."
        ) from None
    return len(wanted)


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(entry.filename).parts
    hidden = any(part == "__MACOSX" or part.startswith(".") for part in parts)
    return not entry.is_dir() and not hidden


def _check(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    for entry in entries:
        name = entry.filename
        outside = ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute()
        if outside or "\\" in name or PureWindowsPath(name).drive:
            raise DownloadError(
                f"'{archive.name}' holds '{name}', which lies outside the folder; nothing was unpacked."
            )
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise DownloadError(f"'{archive.name}' holds the link '{name}'; nothing was unpacked.")
    total = sum(entry.file_size for entry in entries)
    limit = max(_SMALLEST_LIMIT_BYTES, _LARGEST_GROWTH * archive.stat().st_size)
    if total > limit or len(entries) > _MOST_ENTRIES:
        raise DownloadError(
            f"'{archive.name}' would unpack to {len(entries):,} files of {total / 1e9:,.1f} GB in all, far "
            f"more than speech of {archive.stat().st_size / 1e6:,.0f} MB does; nothing was unpacked."
        )


def _write(content: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    try:
        with (
            content.open(entry) as source,
            part.open("wb") as sink,
        ):  # zipfile reads no more than `file_size` and checks the CRC
            shutil.copyfileobj(source, sink)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
