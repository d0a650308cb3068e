// Reads a Web3 Secret Storage file with Node's own cryptography and js-sha3:
//   node read.cjs FILE PASSPHRASE
'use strict';
const { createDecipheriv, scryptSync } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { join } = require('node:path');
const { keccak256 } = require(join(__dirname, '../../node_modules/js-sha3'));

const [file, passphrase] = process.argv.slice(2);
const { version, address, crypto } = JSON.parse(readFileSync(file, 'utf8'));
const { n, r, p, dklen, salt } = crypto.kdfparams;
if (version !== 3 || crypto.kdf !== 'scrypt' || crypto.cipher !== 'aes-128-ctr') throw new Error('another format');
const ciphertext = Buffer.from(crypto.ciphertext, 'hex');
const derived = scryptSync(passphrase, Buffer.from(salt, 'hex'), dklen, { N: n, r, p, maxmem: 2 ** 30 });
if (keccak256(Buffer.concat([derived.subarray(16, 32), ciphertext])) !== crypto.mac) throw new Error('the MAC differs');
const decipher = createDecipheriv('aes-128-ctr', derived.subarray(0, 16), Buffer.from(crypto.cipherparams.iv, 'hex'));
const secret = Buffer.concat([decipher.update(ciphertext), decipher.final()]);
console.log(JSON.stringify({ address, n, r, p, secret: secret.toString('hex') }));
