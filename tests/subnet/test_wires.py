"""The wires without a server: what is signed, and which claims are believed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import bittensor_core
import pytest

from workzone.errors import UsageError, WorkzoneError
from workzone.subnet.keys import (
    SCHEMES,
    check_address,
    hotkey_address,
    new_key,
    verifies,
    wallet_signer,
)
from workzone.subnet.wire import btauth, legacy
from workzone.subnet.wire.asking import request, synapse
from workzone.subnet.wire.claim import SECOND, Refused

ALICE = bittensor_core.Keypair.create_from_uri("//Alice")
BOB = bittensor_core.Keypair.create_from_uri("//Bob")
NOW = 1_800_000_000 * SECOND


def lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def legacy_claim(**how) -> legacy.LegacyClaim:
    asked = request(synapse(b"jpeg"), ALICE, BOB.ss58_address, nonce=NOW, **how)
    return legacy.read_claim(lower(asked.headers))


def test_what_a_dendrite_signs() -> None:
    """Written out once more: the nonce, both hotkeys, the uuid and the body hash, with dots."""
    asked = request(synapse(b"jpeg"), ALICE, BOB.ss58_address, nonce=NOW, hashed=("image",))
    told = lower(asked.headers)
    image = json.loads(asked.body)["image"]
    digest = hashlib.sha3_256(hashlib.sha3_256(image.encode()).hexdigest().encode()).hexdigest()
    uuid = told["bt_header_dendrite_uuid"]
    message = f"{NOW}.{ALICE.ss58_address}.{BOB.ss58_address}.{uuid}.{digest}"
    signature = bytes.fromhex(told["bt_header_dendrite_signature"].removeprefix("0x"))
    assert told["computed_body_hash"] == digest
    assert ALICE.verify(message.encode(), signature)


def test_what_btauth_signs() -> None:
    body = b'{"a": 1}'
    asked = request(body, ALICE, BOB.ss58_address, wire="btauth/1", nonce=NOW, target="/X?y=1")
    told = lower(asked.headers)
    lines = ["btauth/1", "sr25519", "POST", "/X?y=1", hashlib.sha256(body).hexdigest(), str(NOW)]
    message = "\n".join([*lines, ALICE.ss58_address, BOB.ss58_address]).encode()
    signature = bytes.fromhex(told["x-bittensor-signature"].removeprefix("0x"))
    assert ALICE.verify(message, signature)


def test_the_hash_of_no_field_is_that_of_an_empty_text() -> None:
    assert hashlib.sha3_256(b"").hexdigest() == legacy.NOTHING_HASHED == legacy_claim().hashed


def test_each_field_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever subset of them the sender has hashed."""
    fields = synapse(b"jpeg", model_url="a", explanation="b")
    texts: list[str] = []
    right = legacy._sha3

    def counted(text: str) -> str:
        texts.append(text)
        return right(text)

    claim = dataclasses.replace(legacy_claim(), hashed="0" * 64)
    monkeypatch.setattr(legacy, "_sha3", counted)
    with pytest.raises(Refused, match="not the one that was hashed"):
        claim.check_fields(fields)
    assert texts.count(fields["image"]) == 1
    for names in (("explanation",), ("testnet_label", "prediction"), tuple(fields)):
        dataclasses.replace(claim, hashed=legacy.body_hash(fields, names)).check_fields(fields)


def test_ed25519_signs_on_the_new_wire() -> None:
    seed = "0x" + "11" * 32
    key = bittensor_core.Keypair.create_from_seed(bytes.fromhex(seed[2:]), SCHEMES["ed25519"])
    asked = request(b"{}", key, BOB.ss58_address, wire="btauth/1", nonce=NOW)
    claim = btauth.read_claim(lower(asked.headers), method="POST", target=asked.target)
    claim.check_signature(b"{}", BOB.ss58_address)
    with pytest.raises(Refused, match="signature"):
        claim.check_signature(b"{ }", BOB.ss58_address)


@pytest.mark.parametrize(
    ("seconds", "age", "fresh"),
    [
        (9.0, 12.9, True),
        (9.0, 13.1, False),
        (9.0, -12.9, True),
        (9.0, -13.1, False),
        (1e9, 15.9, True),
        (1e9, 16.1, False),
        (0.001, 4.1, False),
    ],
)
def test_the_window_of_a_dendrites_nonces(seconds: float, age: float, fresh: bool) -> None:
    claim = legacy_claim(seconds=seconds)
    if fresh:
        claim.check_fresh(NOW + round(age * SECOND))
        return
    with pytest.raises(Refused, match="nonce is") as refused:
        claim.check_fresh(NOW + round(age * SECOND))
    assert refused.value.status == 401


def test_the_window_of_btauth() -> None:
    asked = request(b"{}", ALICE, BOB.ss58_address, wire="btauth/1", nonce=NOW)
    claim = btauth.read_claim(lower(asked.headers), method="POST", target=asked.target)
    for age in (9.9, -1.9):
        claim.check_fresh(NOW + round(age * SECOND))
    for age in (10.1, -2.1):
        with pytest.raises(Refused):
            claim.check_fresh(NOW + round(age * SECOND))


def test_headers_hold_nothing_that_ends_a_line() -> None:
    headers = legacy.answer_headers(422, "no\r\nimage: ü\x00", 0.5)
    assert headers["bt_header_axon_status_message"] == "no  image:   "
    assert (
        len(legacy.answer_headers(422, "a" * 10_000, 0.5)["bt_header_axon_status_message"]) == 500
    )


def test_signatures_and_addresses_that_are_none() -> None:
    signature = ALICE.sign(b"word")
    assert verifies(b"word", signature, ALICE.ss58_address, SCHEMES["sr25519"])
    for message, told, address in (
        (b"words", signature, ALICE.ss58_address),
        (b"word", signature[:-1], ALICE.ss58_address),
        (b"word", b"", ALICE.ss58_address),
        (b"word", signature, BOB.ss58_address),
        (b"word", signature, "nobody"),
        (b"word", signature, ""),
    ):
        assert not verifies(message, told, address, SCHEMES["sr25519"])
    with pytest.raises(UsageError, match="list: 'nobody' is no address of a key"):
        check_address("nobody", where="list")


# Wallets


def write_wallet(folder: Path, *, public: bool, password: str = "") -> Path:
    """A hotkey as bittensor writes it."""
    file = folder / "mine" / "hotkeys" / "first"
    file.parent.mkdir(parents=True)
    data = bytes(bittensor_core.serialized_keypair_to_keyfile_data(ALICE))
    file.write_bytes(
        bytes(bittensor_core.encrypt_keyfile_data(data, password)) if password else data
    )
    if public:
        file.with_name("firstpub.txt").write_text(json.dumps({"ss58Address": ALICE.ss58_address}))
    return file


def test_a_wallets_address_is_read_and_its_key(tmp_path: Path) -> None:
    write_wallet(tmp_path, public=False)
    assert hotkey_address("mine", "first", tmp_path) == ALICE.ss58_address
    signer = wallet_signer("mine", "first", tmp_path)
    assert ALICE.verify(b"word", signer.sign(b"word"))


def test_of_an_encrypted_hotkey_the_public_file_is_enough(tmp_path: Path) -> None:
    write_wallet(tmp_path, public=True, password="a long password")
    assert hotkey_address("mine", "first", tmp_path) == ALICE.ss58_address
    with pytest.raises(WorkzoneError, match="first is encrypted"):
        wallet_signer("mine", "first", tmp_path)


def test_wallets_that_cannot_be_read_say_so_and_nothing_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no address of a hotkey .*name --wallet, --hotkey"):
        hotkey_address("mine", "first", tmp_path)
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        wallet_signer("mine", "first", tmp_path)
    file = write_wallet(tmp_path, public=False)
    file.write_text('{"secretSeed": "0xsecret"}')
    for read in (hotkey_address, wallet_signer):
        with pytest.raises(WorkzoneError) as error:
            read("mine", "first", tmp_path)
        assert "0xsecret" not in str(error.value)


def test_new_keys_differ() -> None:
    assert len({new_key().ss58_address for _ in range(5)}) == 5
