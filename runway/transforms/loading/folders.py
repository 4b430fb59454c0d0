"""Which files of a folder, or of what a pattern matches, are data, and of which split.

As HF datasets has it (``datasets.data_files``); where it loses files, or takes them twice, it is said at the place.
Nothing is left without a word: what was taken and left is logged, with a warning where it may be data.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from runway.errors import DataError, did_you_mean
from runway.library_internals import builder_of_suffix
from runway.log import info, warning
from runway.transforms.loading.data_files import FORMATS, format_of
from runway.walk import BROKEN, HIDDEN, is_hidden, walk

SPLIT_OF_WORD = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}

# What stands beside data and tells of it: the names that HF datasets ignores, those of Kaggle, Frictionless Data and
# MLCommons, and the texts of every repository.
_ABOUT_NAMES = (
    *("config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"),
    *("dataset-metadata.json", "datapackage.json", "croissant.json"),
)
_ABOUT_TEXTS = ("readme*", "licen[cs]e*", "copying*", "notice*", "citation*", "changelog*", "requirements*.txt")
_SHARD = re.compile(r"(?P<split>\w+(\.\w+)*)-\d{5}-of-\d{5}.*\..+")  # of push_to_hub

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")

ABOUT = "about the data"
NO_FORMAT = "in no format that is read here"
NO_SPLIT = "with no split in the name, where others have one"
OTHER_FORMAT = "of another format than the rest of its split"
NOT_NAMED = "not named by README.md"
_MAY_BE_DATA = (BROKEN, NO_SPLIT, OTHER_FORMAT, NOT_NAMED)


class Choice:
    """The files that were taken, by split, and those that were left, by the reason.

    Args:
        place: the folder or pattern as the user named it, for the log.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.splits: dict[str, list[str]] = {}
        self.left: dict[str, list[str]] = {}

    def leave(self, names: Iterable[str], why: str) -> None:
        """Leave files or folders out."""
        for name in names:
            self.left.setdefault(why, []).append(name)

    def tell(self, owner: str) -> None:
        """Log what was taken and left; a warning where what was left may be data."""
        for split, names in self.splits.items():
            info(f"{owner}: {split} from {self.place}: {_listed(names)}")
        for why, names in self.left.items():
            told = f"{owner}: left out of {self.place}, {why}: {_listed(names)}"
            if why in _MAY_BE_DATA:
                warning(f"{told}; what is to be taken can be named: dataset_path: {{split: [files]}}")
            else:
                info(told)


def choose_files(folder: Path, *, file_format: str | None, where: str) -> Choice:
    """Choose the data files of a folder.

    Left out are hidden files and folders, caches, what tells about the data, and other formats; and files whose
    path has no split, where others have one. Links are followed.

    Args:
        folder: where to look.
        file_format: the format to take, as in ``read_files``; None takes, in each split, the one of most files.
        where: whose work it is, for errors.

    Raises:
        DataError: it has no data, or which of two formats holds the data cannot be told.
    """
    choice = Choice(folder.name)
    names = visible_files(folder, choice)
    data = _of_format(names, file_format, choice)
    for split, members in split_files(data, choice).items():
        taken = _of_one_format(members, split, choice, where) if file_format is None else members
        choice.splits[split] = taken
    if not data:
        raise DataError(
            f"the folder {folder.name!r} holds no data files",
            where=f"{where}, {folder}",
            hint=_other_reader(names)
            or "csv, tsv, json, jsonl, parquet, arrow and txt are known, or a folder made by save_to_disk",
        )
    return choice


def holds_pictures(folder: Path) -> bool:
    """Whether a folder holds pictures, and no tables but those that tell about them (``metadata.csv``)."""
    names = visible_files(folder, Choice(folder.name))
    tables = [name for name in names if format_of(Path(name)) is not None and Path(name).stem != "metadata"]
    return not tables and any(Path(name).suffix.lower() in PICTURES for name in names)


def choose_any_files(folder: Path, wanted: Callable[[str], bool]) -> Choice:
    """Choose the files for a reader that is not ours.

    Args:
        folder: where to look.
        wanted: whether the reader takes a file of this name.
    """
    choice = Choice(folder.name)
    names = visible_files(folder, choice, about=False)
    choice.leave((name for name in names if not wanted(name)), NO_FORMAT)
    choice.splits = split_files([name for name in names if wanted(name)], choice)
    return choice


def choose_matches(
    pattern: Path, paths: Iterable[Path], takes: Callable[[str], bool] | None = None
) -> tuple[list[Path], Choice]:
    """Of the files that a pattern matches, those that are data.

    Args:
        pattern: a name that it spells out is data.
        paths: what it matches; folders do not count.
        takes: whether the reader takes a file of this name; None leaves out those in no format that is read here, where
            others are in one.
    """
    spelt = pattern.name
    choice = Choice(spelt)
    taken = []
    for path in paths:
        if path.is_dir():
            continue
        if _private_folders(path) > _private_folders(pattern):
            choice.leave([path.name], HIDDEN)
        elif not path.exists():
            choice.leave([path.name], BROKEN)
        elif path.name == spelt or not glob.has_magic(spelt):
            taken.append(path)
        elif _is_about(path.name) or (format_of(path) is None and is_hidden(path.name)):
            choice.leave([path.name], ABOUT)
        else:
            taken.append(path)
    known = [path for path in taken if format_of(path) is not None]
    if takes is not None:
        known = [path for path in taken if path.name == spelt or takes(path.name)]
    those = set(known)
    if takes is not None or known:
        choice.leave((path.name for path in taken if path not in those), NO_FORMAT)
        taken = known
    return taken, choice


def must_have_subset(folder: Path, subset: str, where: str) -> Path:
    """The subfolder.

    Raises:
        DataError: it is not there.
    """
    if not (folder / subset).is_dir():
        near = did_you_mean(subset, [path.name for path in folder.iterdir() if path.is_dir() and path.name[:1] != "."])
        raise DataError(f"there is no folder {subset!r} in {folder.name!r}", where=f"{where}, {folder}", hint=near)
    return folder / subset


def split_files(names: Sequence[str], choice: Choice) -> dict[str, list[str]]:
    """Sort files into splits by their paths.

    - ``data/NAME-00000-of-00003.parquet``, the form of ``push_to_hub``, is split NAME; then other files are left.
    - Else the words of the folders count, from the nearest up, then those of the name: ``test/a.csv``, ``dev.jsonl``.
      Where some have such a word, the others are left. (HF datasets takes no ``dev.jsonl`` beside a ``test/``, and
      takes a file whose path has two such words twice.)
    - Else all are ``train``.

    Args:
        names: relative paths.
        choice: takes what is left.
    """
    shards = {name: shard["split"] for name in names if (shard := _SHARD.fullmatch(PurePosixPath(name).name))}
    pushed = {name: split for name, split in shards.items() if PurePosixPath(name).parent.name == "data"}
    if not pushed and any(split in SPLIT_OF_WORD for split in shards.values()):
        pushed = shards if len(shards) == len(names) else {}  # unsupervised-00000-of-… beside train-00000-of-…
    found = {name: [SPLIT_OF_WORD.get(split, split)] for name, split in pushed.items()}
    found = found or {name: said for name in names if (said := _splits_of(name))}
    if not found:
        return {"train": list(names)} if names else {}
    choice.leave((name for name in names if name not in found), NO_SPLIT)
    ambiguous = [name for name, splits in found.items() if len(splits) > 1]
    if ambiguous:
        warning(
            f"{choice.place}: the names of several splits in a path: {_listed(ambiguous)}; {ambiguous[0]!r} is taken "
            f"for {found[ambiguous[0]][0]!r}; to say it otherwise name the files: dataset_path: {{split: [files]}}"
        )
    splits: dict[str, list[str]] = {}
    for name, (split, *_) in found.items():
        splits.setdefault(split, []).append(name)
    return splits


def _splits_of(name: str) -> list[str]:
    """The splits whose words stand in a path: that which counts first."""
    *folders, file = PurePosixPath(name).parts
    words = [word for part in (*reversed(folders), file) for word in re.split(r"[^A-Za-z]+", part.lower())]
    return list(dict.fromkeys(SPLIT_OF_WORD[word] for word in words if word in SPLIT_OF_WORD))


def visible_files(folder: Path, choice: Choice, *, about: bool = True) -> list[str]:
    """The files of a folder that are not hidden, sorted; and, if ``about``, that are not about the data."""
    names = []
    for name, why in sorted(walk(folder, hidden=False)):
        if why:
            choice.leave([name], why)
        elif about and _is_about(PurePosixPath(name).name):
            choice.leave([name], ABOUT)
        else:
            names.append(name)
    return names


def _private_folders(path: Path) -> int:
    """How many folders of a path are like ``__pycache__``, which a pattern must spell out (HF datasets' rule)."""
    return sum(part.startswith("__") for part in path.parent.parts)


def _is_about(name: str) -> bool:
    lower = name.lower()
    if lower in _ABOUT_NAMES:
        return True
    is_text = format_of(Path(lower)) in ("text", None)  # licences.csv is data
    return is_text and any(fnmatch.fnmatchcase(lower, pattern) for pattern in _ABOUT_TEXTS)


def _format(name: str) -> str | None:
    return format_of(Path(name))


def _of_format(names: Sequence[str], wanted: str | None, choice: Choice) -> list[str]:
    """The files of a format; where none has a name that says so, all that may be."""
    known = [name for name in names if _format(name)]
    taken = known
    if wanted is not None:
        wanted = {"jsonl": "json", "txt": "text"}.get(wanted, wanted)
        taken = [name for name in known if _format(name) == wanted] or known or list(names)
    choice.leave((name for name in names if name not in set(taken)), NO_FORMAT if taken is known else f"not {wanted}")
    return taken


def _of_one_format(names: list[str], split: str, choice: Choice, where: str) -> list[str]:
    """The files of the format that most have: a set of rows has one (HF datasets takes one even in a draw)."""
    counts = Counter(_format(name) for name in names)
    (first, most), *others = counts.most_common()
    rivals = [kind for kind, count in others if count == most]
    if first == "text" and rivals:  # as in HF datasets: beside tables a text is a note
        first, *rivals = rivals
    rivals = [kind for kind in rivals if kind != "text"]
    if rivals:
        one, other = (next(name for name in names if _format(name) == kind) for kind in (first, rivals[0]))
        raise DataError(
            f"the split {split!r} has files of several formats: {one}, {other}",
            where=f"{where}, {choice.place}",
            hint=f"set file_format to {first!r} or {rivals[0]!r}, or name the files: dataset_path: {{{split}: [...]}}",
        )
    choice.leave((name for name in names if _format(name) != first), OTHER_FORMAT)
    return [name for name in names if _format(name) == first]


def _other_reader(names: Sequence[str]) -> str:
    """A hint where the files are of a kind that a builder of HF datasets reads."""
    suffixes = Counter(PurePosixPath(name).suffix.lower() for name in names)
    for suffix, count in suffixes.most_common(1):
        builder = builder_of_suffix(suffix)
        if builder and suffix not in FORMATS:
            return (
                f"it holds {count} {suffix} files, which HF's builder reads: "
                f"dataset_name: {builder!r}, load_kwargs: {{data_dir: ...}} instead of dataset_path"
            )
    return ""


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names[:3])}{', …' if len(names) > 3 else ''})"
