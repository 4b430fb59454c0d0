"""Secrets: which values of a config are, how they are kept out of all that is written or printed, and ``env:NAME``.

The one rule, by the words of a key's name (``hf_token``, ``apiKey``) and the value:

- password, passwd, passphrase, secret, credential(s), auth, authorization, apikey …: always, with all text inside;
- token: unless it is a vocabulary's (``pad_token``; ``<s>``, ``[CLS]``) or no text (``max_tokens: 5``);
- key: of what opens something (``api_key``, ``access_key``); ``key`` alone and others (``sort_key``) only where the
  value cannot be the name of a column;
- in a URL: ``user:password@``, and parameters such as ``?token=``, ``?X-Amz-Signature=``.

What was found is remembered in this process, and taken out of each line, block and file that it would stand in.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from runway.errors import ConfigError, RunwayError

MASK = "***"
ENVIRONMENT = "env:"


def _table(words: str) -> frozenset[str]:
    return frozenset(words.split())


_STRONG = _table(
    "password passwd passphrase passcode pwd secret credential auth authorization bearer apikey accesskey secretkey "
    "privatekey authtoken accesstoken"
)
_TELLING = _STRONG | {"key", "token"}
_OPENS = _table(
    "api access secret private account storage encryption signing auth ssh license client service hf hub huggingface "
    "wandb openai anthropic github gitlab aws azure gcs s3 session refresh bearer deploy"
)
_OF_VOCABULARIES = _table(
    "pad eos bos unk sep cls mask start end special additional decoder target source src tgt lang language image audio "
    "prefix suffix begin stop sos oov blank separator new next prev word sub"
)
_OF_URLS = _table(
    "signature sig token key secret password passwd pwd passphrase credential auth code apikey bearer hmac jwt policy "
    "sas"
)
_PREFIXES = ("hf_", "sk-", "ghp_", "gho_", "github_pat_", "glpat-", "xoxb-", "xoxp-", "AKIA", "eyJ")
_SHORTEST = 6  # of what is looked for in any text: a shorter one is masked where it stands alone
_ROUNDS = 100_000  # of the digest of a secret: about 30 ms a guess
_PLAIN = frozenset((str, int, float, bool, type(None)))  # told from sections at once: isinstance of Mapping is slow
_known: dict[str, re.Pattern[str]] = {}


def is_secret(name: str, value: Any) -> bool:
    """Whether the value under a key is a secret by the rule above; ``env:NAME``, a mask and nothing are none."""
    words = _words(name)
    if not words or words[-1] not in _TELLING:  # nearly all names
        return False
    if isinstance(value, bool) or not isinstance(value, str | int) or value in ("", MASK) or variable(value):
        return False
    last, before = words[-1], frozenset(words[:-1])
    if last in _STRONG:
        return True
    if not isinstance(value, str):
        return False
    if before & _OPENS or value.startswith(_PREFIXES):
        return True
    if last == "token" and before:
        return not (before & _OF_VOCABULARIES or len(value) < _SHORTEST or re.search(r"[<>\[\]|\s]", value))
    if before:
        return re.fullmatch(r"(?=.*\d)(?=.*[A-Za-z])[\w+/=.-]{16,}", value) is not None
    return len(value) >= _SHORTEST and re.fullmatch(r"[a-z]+\d*(_[a-z\d]+)*|.*[<>\[\]|\s].*", value, re.S) is None


@functools.lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    while len(words) > 1 and (words[-1] in ("value", "string") or words[-1].isdigit() or words[-2:] == ["key", "id"]):
        words.pop()
    if words and words[-1] in ("passwords", "secrets", "credentials"):
        words[-1] = words[-1][:-1]
    return tuple(words)


def _is_strong(name: str) -> bool:
    words = _words(name)
    return bool(words) and words[-1] in _STRONG


def _is_masked(name: str, value: Any) -> bool:
    if not isinstance(value, str) or MASK not in value:
        return False
    words = _words(name)
    by_name = bool(words) and words[-1] in _TELLING
    return (value == MASK and by_name) or f"://{MASK}@" in value or ("://" in value and f"={MASK}" in value)


def _named(section: Mapping[Any, Any], name: str) -> Iterator[tuple[Any, str, Any]]:
    """Key, the name that decides, and value of all in a section of that name: all text below a strong one is secret."""
    is_strong = _is_strong(name)
    for key, value in section.items():
        yield key, name if is_strong and isinstance(value, str | Mapping | list | tuple) else str(key), value


def variable(value: Any) -> str | None:
    """The variable of the environment that ``env:NAME`` names; None of anything else."""
    found = re.fullmatch(r"env:([A-Za-z_]\w*)", value) if isinstance(value, str) and value[:4] == ENVIRONMENT else None
    return found[1] if found else None


# --- what is remembered


def note(config: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Remember the secrets in a config; gives the places at which a mask stands where a secret stood."""
    masked = []
    for place, name, value in _leaves(config, path, ""):
        if is_secret(name, value):
            remember(str(value))
        if _is_masked(name, value):
            masked.append(place)
    return masked


def plain_secrets(config: Any) -> list[tuple[str | int, ...]]:
    """The places of secrets, those in URLs as well, that stand in a config themselves."""
    return [
        place
        for place, name, value in _leaves(config, (), "")
        if is_secret(name, value) or (isinstance(value, str) and _without_urls_secrets(value) != value)
    ]


def remember(secret: str, shortest: int = _SHORTEST) -> None:
    """Take this text out of all that is written or printed from now on."""
    for text in {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}:
        if len(text) >= shortest and text not in _known:
            is_word = re.fullmatch(r"[a-z]+|\d+", text) or len(text) < _SHORTEST
            _known[text] = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)" if is_word else re.escape(text))


def _leaves(value: Any, place: tuple[str | int, ...], name: str) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    """Place, name and value of all that holds nothing else, in their order."""
    waiting = [(place, name, value)]
    while waiting:
        place, name, value = waiting.pop()
        if type(value) in _PLAIN:
            yield place, name, value
        elif isinstance(value, Mapping):
            waiting += [((*place, key), own, inner) for key, own, inner in _named(value, name)][::-1]
        elif isinstance(value, list | tuple):
            waiting += [((*place, index), name, inner) for index, inner in enumerate(value)][::-1]
        else:
            yield place, name, value


# --- what is shown and written


def hide(text: str) -> str:
    """A text without the secrets that are known, and without those of URLs."""
    if _known:
        for secret in sorted(_known, key=len, reverse=True):
            if secret in text:
                text = _known[secret].sub(MASK, text)
    return _without_urls_secrets(text)


def holds_secrets(text: str) -> bool:
    """Whether ``hide`` would change a text."""
    return hide(text) != text


def hidden(value: Any, name: str = "", *, by_name: bool = True) -> Any:
    """A value of plain sections and lists without its secrets.

    Args:
        value: of any kind; what is neither section, list nor text stays as it is.
        name: the key that it stands under.
        by_name: whether names tell secrets; where they are no config's, only what is known is taken out.
    """
    return _mapped(value, name, lambda secret: MASK, hide, by_name=by_name)


def for_keys(value: Any, name: str = "") -> Any:
    """A value for a key that is kept: a slow digest stands for each secret, so that another one makes another key."""
    return _mapped(value, name, lambda secret: f"{MASK}{_slow_digest(repr(secret))}", _url_for_keys)


def hidden_words(words: Iterable[str]) -> list[str]:
    """The words of a command, overrides among them, without secrets."""
    return [_hidden_word(word) for word in words]


def hidden_source(text: str) -> str:
    """Lines of code or of configs without what is set to a name of a secret."""
    return hide(_assignment().sub(_hidden_assignment, text)) if text else text


def _mapped(value: Any, name: str, secret: Any, text: Any, *, by_name: bool = True) -> Any:
    if type(value) not in _PLAIN and isinstance(value, Mapping):
        pairs = {key: _mapped(inner, own, secret, text, by_name=by_name) for key, own, inner in _named(value, name)}
        return pairs if any(pairs[key] is not inner for key, inner in value.items()) else value
    if isinstance(value, list | tuple):
        items = [_mapped(inner, name, secret, text, by_name=by_name) for inner in value]
        return type(value)(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value
    if by_name and is_secret(name, value):
        return secret(value)
    return text(value) if isinstance(value, str) else value


def _hidden_word(word: str) -> str:
    before, sign, value = word.partition("=")
    if not sign:
        return hide(word)
    name = re.split(r"[.\[\]'\"]", before.rstrip("'\"]"))[-1]
    bare = value.strip().strip("'\"")
    if variable(bare):
        return word
    if is_secret(name, bare):
        return f"{hide(before)}={MASK}"
    is_section = value.lstrip()[:1] in ("{", "[")
    inside = _assignment().sub(functools.partial(_hidden_assignment, words=True), value) if is_section else value
    return f"{hide(before)}={hide(inside)}"


@functools.cache
def _assignment() -> re.Pattern[str]:
    quoted = r"""(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote))[^\\\n]|\\.)*)(?P=quote)"""
    return re.compile(
        rf"""(?P<name>[A-Za-z_][\w.-]*)(?P<sign>['"]?\]?\s*[+:=]?[:=]+\s*)(?:{quoted}|(?P<bare>[^\s,'"}}]+))"""
    )


def _hidden_assignment(found: re.Match[str], *, words: bool = False) -> str:
    value = found["quoted"] if found["quote"] else found["bare"]
    name = found["name"].rpartition(".")[2]
    if not is_secret(name, value) or not (found["quote"] or words or _looks_given(value)):
        return found[0]
    quote = found["quote"] or ""
    return f"{found['name']}{found['sign']}{quote}{MASK}{quote}"


def _looks_given(bare: str) -> bool:
    """Whether what stands without quotes is a value, and no expression: ``PASSWORD=hunter2`` of an environment file."""
    return re.fullmatch(r"[\w+/=.-]*\d[\w+/=.-]*", bare) is not None and "." not in bare


@functools.cache
def _url() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    return (
        re.compile(r"(://)[^\s/:@'\"]*:(?!\d{1,5}(?:[/?#]|$))[^\s'\"?]*@"),
        re.compile(r"(://)[^\s/:@'\"]{16,}@"),  # a token alone
        re.compile(r"([?&;]([\w.-]+)=)([^&;\s'\"#]+)"),
    )


def _without_urls_secrets(text: str) -> str:
    if "://" not in text:
        return text
    password, user, parameter = _url()
    text = user.sub(rf"\1{MASK}@", password.sub(rf"\1{MASK}@", text))
    return parameter.sub(lambda one: one[1] + (MASK if _is_secret_of_url(one[2], one[3]) else one[3]), text)


def _is_secret_of_url(name: str, value: str) -> bool:
    """By its name; or by its value, where that is the long random text of nothing else (a commit has no capitals)."""
    random = r"(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[\w+/=%.~-]{24,}"
    return bool(_OF_URLS & {*_words(name)}) or value.startswith(_PREFIXES) or re.fullmatch(random, value) is not None


def hide_in_error(error: RunwayError) -> None:
    """Take the secrets out of an error that is on its way: what catches it may print it by itself."""
    error.message = hide(error.message)
    error.where, error.hint = (text and hide(text) for text in (error.where, error.hint))
    error.args = (error.message,)


def without_secrets(url: str) -> str:
    """The URL of a store as it may be shown and kept: without a password, and without what stands after ``?``."""
    for secret in secrets_of_store(url):
        url = url.replace(secret, MASK)
    return url


def secrets_of_store(url: str) -> list[str]:
    """What is secret in the URL of a store, the longest first: one may hold another."""
    place, _, query = url.partition("?")
    found = re.match(r".*?://([^@]*:([^@]*))@", place)  # a key of S3 may hold a slash
    return sorted((text for text in (*(found.groups() if found else ()), query) if text), key=len, reverse=True)


def _url_for_keys(text: str) -> str:
    shown = _without_urls_secrets(text)
    return text if shown == text else f"{shown}#{_slow_digest(text)}"


@functools.lru_cache(maxsize=256)
def _slow_digest(secret: str) -> str:
    import hashlib

    text = secret.encode("utf-8", "surrogatepass")
    return hashlib.pbkdf2_hmac("sha256", text, b"runway: a secret in a key", _ROUNDS).hex()[:32]


# --- what is used


def resolved(value: Any, where: str = "", name: str = "") -> Any:
    """A value as code is to get it: each ``env:NAME`` in it is what the environment says; its type stays.

    Args:
        value: of any kind; sections and lists are copied where something in them is resolved.
        where: its place in the config, for errors.
        name: the key that it stands under.

    Raises:
        ConfigError: the variable is not set, or a mask stands where a secret stood.
    """
    if isinstance(value, str):
        asked = variable(value)
        if asked is not None:
            return _from_environment(asked, where)
        if _is_masked(name, value):
            raise masked_error(where or "the config")
        return value
    if isinstance(value, Mapping):
        pairs = {
            key: resolved(inner, f"{where}.{key}" if where else str(key), str(key)) for key, inner in value.items()
        }
        kind: Any = type(value)
        return kind(pairs) if any(pairs[key] is not inner for key, inner in value.items()) else value
    if isinstance(value, list | tuple):
        items = [resolved(inner, f"{where}[{index}]", name) for index, inner in enumerate(value)]
        return type(value)(items) if any(a is not b for a, b in zip(items, value, strict=True)) else value
    return value


def masked_error(where: str) -> ConfigError:
    """A secret was masked when the config was written, and the mask must not be used for it."""
    return ConfigError(
        f"a secret was masked where this config was written, and is not known: {MASK!r}",
        where=where,
        hint="put `env:NAME` there, and the secret into the environment variable NAME",
    )


def _from_environment(name: str, where: str) -> str:
    found = os.environ.get(name)
    if not found:
        state = "is empty" if found is not None else "is not set"
        hint = f"export {name}=…, or for a job where it runs; what the config says stays `{ENVIRONMENT}{name}`"
        raise ConfigError(f"the environment variable {name} {state}", where=where or None, hint=hint)
    remember(found, shortest=4)
    return found
