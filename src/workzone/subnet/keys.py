"""Keys of the chain: signatures, addresses, and the hotkey of a bittensor wallet.

`bittensor_core` computes, the module that bittensor 11 itself uses; it needs nothing beside it. A
miner needs no private key: it reads its own address, and checks others' signatures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workzone.errors import MissingExtraError, UsageError, WorkzoneError

if TYPE_CHECKING:
    from types import ModuleType

SCHEMES = {"ed25519": 0, "sr25519": 1}
"""Numbers of the schemes of signatures."""
SCHEME_NAMES = {number: name for name, number in SCHEMES.items()}
SR25519 = SCHEMES["sr25519"]

WALLETS = Path("~/.bittensor/wallets")
"""Where bittensor keeps its wallets."""


class Signer(Protocol):
    """A key pair, as `bittensor_core.Keypair`."""

    @property
    def ss58_address(self) -> str:
        """Its address."""

    @property
    def crypto_type(self) -> int:
        """A number of `SCHEMES`."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


def _core() -> ModuleType:
    try:
        import bittensor_core
    except ImportError as error:
        raise MissingExtraError("bittensor-core", "subnet", "checking signatures") from error
    module: ModuleType = bittensor_core
    return module


def verifies(message: bytes, signature: bytes, address: str, scheme: int) -> bool:
    """Whether a signature is that of an address's key over a message.

    Args:
        message: as it was signed.
        signature: of any length; one that is not of 64 bytes is none.
        address: in SS58; one that is not well formed has signed nothing.
        scheme: a number of `SCHEMES`.

    Raises:
        MissingExtraError: `bittensor_core` is not installed.
    """
    try:
        return bool(_core().verify(message, signature, address, scheme))
    except ValueError:
        return False


def check_address(text: str, *, where: str) -> str:
    """An address in SS58, as it came.

    Raises:
        UsageError: it is none; ``where`` says what holds it.
    """
    try:
        _core().ss58_decode(text)
    except ValueError as error:
        raise UsageError(
            f"{where}: {text[:60]!r} is no address of a key ({error}); one looks like 5Grw...tQY"
        ) from error
    return text


def new_key() -> Signer:
    """A key pair that is nowhere but in memory."""
    pair = _core().Keypair
    made: Signer = pair.create_from_mnemonic(pair.generate_mnemonic(12))
    return made


def hotkey_file(wallet: str, hotkey: str, folder: Path = WALLETS) -> Path:
    """Where bittensor keeps a hotkey."""
    return folder.expanduser() / wallet / "hotkeys" / hotkey


def hotkey_address(wallet: str, hotkey: str, folder: Path = WALLETS) -> str:
    """The address of a wallet's hotkey; of its files nothing else is kept.

    Raises:
        UsageError: there is no such wallet, or its address cannot be read.
    """
    private = hotkey_file(wallet, hotkey, folder)
    public = private.with_name(f"{private.name}pub.txt")
    for file in (public, private):
        try:
            said = json.loads(file.read_bytes())
        except FileNotFoundError:
            continue
        except (OSError, ValueError):  # encrypted, or not for this user
            break
        address = said.get("ss58Address") if isinstance(said, dict) else None
        if isinstance(address, str):
            return check_address(address, where=str(file))
    raise UsageError(
        f"no address of a hotkey can be read in {private} or {public.name} beside it: name "
        "--wallet, --hotkey and --wallets, or make one with `btcli wallet new-hotkey`"
    )


def wallet_signer(wallet: str, hotkey: str, folder: Path = WALLETS) -> Signer:
    """The key pair of a wallet's hotkey.

    Raises:
        UsageError: there is no such file.
        WorkzoneError: it is encrypted or damaged.
    """
    file = hotkey_file(wallet, hotkey, folder)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"the hotkey {file} cannot be read: {error.strerror or error}") from error
    core = _core()
    if core.keyfile_data_is_encrypted(data):
        raise WorkzoneError(f"the hotkey {file} is encrypted: take one without a password here")
    try:
        pair: Signer = core.deserialize_keypair_from_keyfile_data(data)
    except (ValueError, core.KeyfileError) as error:
        # What the library says may hold parts of the file.
        raise WorkzoneError(f"the hotkey {file} is damaged: make it again with btcli") from error
    return pair
