// Passkeys: making one, and using one for a text.

const bytes = new TextEncoder();

/** Base64url without padding. */
export function base64url(buffer) {
    const binary = Array.from(new Uint8Array(buffer), (byte) => String.fromCharCode(byte)).join("");
    return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

const ES256 = -7;
const EDDSA = -8;
const PATIENCE_MILLIS = 120_000;
// What stands before a key in its SubjectPublicKeyInfo (RFC 5480, RFC 8410): algorithm, and lengths.
const SPKI_P256 = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
const SPKI_ED25519 = "302a300506032b6570032100";

/** One person's word: the passkey's assertion of the text, as the signer takes it. */
export async function assertion(text) {
    const challenge = await crypto.subtle.digest("SHA-256", bytes.encode(text));
    const { response } = await navigator.credentials.get({
        publicKey: {
            challenge,
            rpId: location.hostname,
            userVerification: "required",
            timeout: PATIENCE_MILLIS,
        },
    });
    return {
        authenticator_data: base64url(response.authenticatorData),
        client_data: base64url(response.clientDataJSON),
        signature: base64url(response.signature),
    };
}

/** Makes a passkey of this page for a person, and its line for the bundle. The signer is told nothing. */
export async function enrolled(person) {
    const { response } = await navigator.credentials.create({
        publicKey: {
            rp: { id: location.hostname, name: "Strongroom" },
            user: { id: crypto.getRandomValues(new Uint8Array(32)), name: person, displayName: person },
            challenge: crypto.getRandomValues(new Uint8Array(32)),
            pubKeyCredParams: [ES256, EDDSA].map((alg) => ({ type: "public-key", alg })),
            authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
            attestation: "none",
            timeout: PATIENCE_MILLIS,
        },
    });
    return lineOf(response.getPublicKeyAlgorithm(), new Uint8Array(response.getPublicKey()));
}

/** The line of a public key. */
export function lineOf(algorithm, spki) {
    const key = (prefix, length) => {
        const before = prefix.length / 2;
        const found = Array.from(spki.slice(0, before), (byte) => byte.toString(16).padStart(2, "0")).join("");
        if (found !== prefix || spki.length !== before + length) {
            throw new Error("the passkey's public key has a form that is not taken");
        }
        return spki.slice(before);
    };
    switch (algorithm) {
        case ES256: {
            const point = key(SPKI_P256, 65);
            const even = point[64] % 2 === 0;
            return `es256 ${base64url(Uint8Array.of(even ? 2 : 3, ...point.slice(1, 33)))}`;
        }
        case EDDSA:
            return `eddsa ${base64url(key(SPKI_ED25519, 32))}`;
        default:
            throw new Error("the passkey is of an algorithm that is not taken");
    }
}
