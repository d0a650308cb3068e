#!/usr/bin/env python3
"""A second implementation of docs/keystore.md, by other libraries, for the vectors in
src/keys/keystore/vectors.

    pip install eth-keyfile==0.10.0 argon2-cffi==25.1.0 pynacl==1.6.2
    keystore.py write FOLDER   writes a keystore whose random parts are fixed, and files of
                               eth-keyfile to be imported (whose random parts are not)
    keystore.py read FOLDER PASSPHRASE   prints every key and seed of a keystore: name, public key or
                               fingerprint, secret
"""

import hashlib
import hmac
import json
import pathlib
import sys

import eth_keyfile
from argon2.low_level import Type, hash_secret_raw
from Crypto.Cipher import AES
from Crypto.Hash import RIPEMD160
from Crypto.Util import Counter
from eth_keys import keys
from eth_utils import keccak
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt as encrypt,
)
from nacl.signing import SigningKey

PASSPHRASE = "correct horse battery staple"
SPEND = bytes.fromhex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d")
LOG = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
# BIP-39's first test vector without a passphrase.
WORDS = "abandon " * 11 + "about"


def fixed(label, length):
    return hashlib.shake_256(label.encode()).digest(length).hex()


def stated(first, pairs):
    return "".join([first + "\n"] + [f"{name}={value}\n" for name, value in pairs]).encode()


def argon2id(params, passphrase):
    return hash_secret_raw(
        passphrase.encode(),
        bytes.fromhex(params["salt"]),
        time_cost=params["passes"],
        memory_cost=params["memory_kib"],
        parallelism=params["lanes"],
        hash_len=32,
        type=Type.ID,
    )


def scrypt(params, passphrase):
    n, r, p = params["n"], params["r"], params["p"]
    salt = bytes.fromhex(params["salt"])
    return hashlib.scrypt(
        passphrase.encode(), salt=salt, n=n, r=r, p=p, maxmem=1 << 30, dklen=32
    )


def of_argon2id(params):
    return [(f"argon2id_{name}", params[name]) for name in ("memory_kib", "passes", "lanes", "salt")]


def of_scrypt(params):
    return [(f"scrypt_{name}", params[name]) for name in ("n", "r", "p", "salt")]


def header_stated(header):
    pairs = [("serial", header["serial"])]
    pairs += of_argon2id(header["argon2id"]) + of_scrypt(header["scrypt"])
    return stated("strongroom-keystore-v1", pairs + [("nonce", header["nonce"])])


def web3_stated(file):
    mark, crypto = file["strongroom"], file["crypto"]
    pairs = [(name, mark[name]) for name in ("purpose", "name", "public_key")]
    pairs += [("id", file["id"]), ("address", file["address"])]
    pairs += [("iv", crypto["cipherparams"]["iv"]), ("ciphertext", crypto["ciphertext"])]
    pairs += of_scrypt(crypto["kdfparams"]) + [("mac", crypto["mac"]), ("nonce", mark["nonce"])]
    return stated("strongroom-web3-key-v1", pairs)


def container_stated(file):
    pairs = [(name, file[name]) for name in ("algorithm", "purpose", "name", "public_key")]
    return stated("strongroom-key-v1", pairs + of_argon2id(file["argon2id"]) + [("nonce", file["nonce"])])


def seed_stated(file):
    pairs = [(name, file[name]) for name in ("name", "fingerprint")]
    return stated("strongroom-seed-v1", pairs + of_argon2id(file["argon2id"]) + [("nonce", file["nonce"])])


def fingerprint(seed):
    secret = hmac.digest(b"Bitcoin seed", seed, "sha512")[:32]
    public = keys.PrivateKey(secret).public_key.to_compressed_bytes()
    return RIPEMD160.new(hashlib.sha256(public).digest()).digest()[:4].hex()


def aes_ctr(key, iv, text):
    counter = Counter.new(128, initial_value=int.from_bytes(iv, "big"))
    return AES.new(key, AES.MODE_CTR, counter=counter).encrypt(text)


def seal(key, said, nonce, secret=b""):
    return encrypt(secret, said, bytes.fromhex(nonce), key).hex()


def write_header(passphrase):
    header = {
        "format": "strongroom-keystore",
        "version": 1,
        "serial": fixed("serial", 8),
        "argon2id": {"memory_kib": 8192, "passes": 2, "lanes": 2, "salt": fixed("argon2id", 16)},
        "scrypt": {"n": 4096, "r": 8, "p": 1, "salt": fixed("scrypt", 32)},
        "nonce": fixed("header", 24),
    }
    header["tag"] = seal(argon2id(header["argon2id"], passphrase), header_stated(header), header["nonce"])
    return header


def write_web3(header, passphrase, secret, purpose, name):
    derived = scrypt(header["scrypt"], passphrase)
    public = keys.PrivateKey(secret).public_key
    ident = bytearray.fromhex(fixed("id", 16))
    ident[6] = ident[6] & 0x0F | 0x40
    ident[8] = ident[8] & 0x3F | 0x80
    ident = ident.hex()
    iv = fixed("iv", 16)
    ciphertext = aes_ctr(derived[:16], bytes.fromhex(iv), secret)
    params = header["scrypt"]
    file = {
        "version": 3,
        "id": "-".join([ident[:8], ident[8:12], ident[12:16], ident[16:20], ident[20:]]),
        "address": public.to_canonical_address().hex(),
        "crypto": {
            "cipher": "aes-128-ctr",
            "cipherparams": {"iv": iv},
            "ciphertext": ciphertext.hex(),
            "kdf": "scrypt",
            "kdfparams": {
                "dklen": 32,
                "n": params["n"],
                "p": params["p"],
                "r": params["r"],
                "salt": params["salt"],
            },
            "mac": keccak(derived[16:32] + ciphertext).hex(),
        },
        "strongroom": {
            "purpose": purpose,
            "name": name,
            "public_key": public.to_compressed_bytes().hex(),
            "nonce": fixed("seal", 24),
        },
    }
    assert eth_keyfile.decode_keyfile_json(file, passphrase.encode()) == secret
    key = argon2id(header["argon2id"], passphrase)
    file["strongroom"]["seal"] = seal(key, web3_stated(file), file["strongroom"]["nonce"])
    return file


def write_container(header, passphrase, secret, purpose, name):
    file = {
        "format": "strongroom-key",
        "version": 1,
        "algorithm": "ed25519",
        "purpose": purpose,
        "name": name,
        "public_key": SigningKey(secret).verify_key.encode().hex(),
        "argon2id": header["argon2id"],
        "nonce": fixed("container", 24),
    }
    key = argon2id(header["argon2id"], passphrase)
    file["ciphertext"] = seal(key, container_stated(file), file["nonce"], secret)
    return file


def write_seed(header, passphrase, seed, name):
    file = {
        "format": "strongroom-seed",
        "version": 1,
        "name": name,
        "fingerprint": fingerprint(seed),
        "argon2id": header["argon2id"] | {"salt": fixed("seed-argon2id", 16)},
        "nonce": fixed("seed", 24),
    }
    key = argon2id(file["argon2id"], passphrase)
    file["ciphertext"] = seal(key, seed_stated(file), file["nonce"], seed)
    return file


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    header = write_header(PASSPHRASE)
    files = {
        "keystore.json": header,
        "spend.eth-hot.json": write_web3(header, PASSPHRASE, SPEND, "spend", "eth-hot"),
        "checkpoint.log.json": write_container(header, PASSPHRASE, LOG, "checkpoint", "log"),
        "seed.treasury.json": write_seed(
            header,
            PASSPHRASE,
            hashlib.pbkdf2_hmac("sha512", WORDS.encode(), b"mnemonic", 2048),
            "treasury",
        ),
    }
    for kdf, work in (("scrypt", 4096), ("pbkdf2", 2000)):
        files[f"eth-keyfile-{kdf}.json"] = eth_keyfile.create_keyfile_json(
            SPEND, PASSPHRASE.encode(), kdf=kdf, iterations=work
        )
    for name, file in files.items():
        (folder / name).write_text(json.dumps(file, indent=2) + "\n")


def read(folder, passphrase):
    header = json.loads((folder / "keystore.json").read_text())
    key = argon2id(header["argon2id"], passphrase)
    decrypt(bytes.fromhex(header["tag"]), header_stated(header), bytes.fromhex(header["nonce"]), key)
    for path in sorted(folder.glob("*.*.json")):
        file = json.loads(path.read_text())
        if file.get("format") == "strongroom-seed":
            said, nonce = seed_stated(file), bytes.fromhex(file["nonce"])
            own = argon2id(file["argon2id"], passphrase)
            secret = decrypt(bytes.fromhex(file["ciphertext"]), said, nonce, own)
            public = fingerprint(secret)
            assert public == file["fingerprint"]
        elif "format" in file:
            said, nonce = container_stated(file), bytes.fromhex(file["nonce"])
            secret = decrypt(bytes.fromhex(file["ciphertext"]), said, nonce, key)
            public = SigningKey(secret).verify_key.encode().hex()
            assert public == file["public_key"]
        else:
            mark = file["strongroom"]
            decrypt(bytes.fromhex(mark["seal"]), web3_stated(file), bytes.fromhex(mark["nonce"]), key)
            secret = eth_keyfile.decode_keyfile_json(file, passphrase.encode())
            public = keys.PrivateKey(secret).public_key.to_compressed_bytes().hex()
            assert public == mark["public_key"]
        print(path.name, public, secret.hex())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write", folder]:
            write(pathlib.Path(folder))
        case ["read", folder, passphrase]:
            read(pathlib.Path(folder), passphrase)
        case _:
            sys.exit(__doc__)
