// Compiles Token.sol and prints the artefact: node contracts/compile.cjs > contracts/Token.json
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const input = {
  language: "Solidity",
  sources: { "Token.sol": { content: fs.readFileSync(path.join(__dirname, "Token.sol"), "utf8") } },
  settings: {
    optimizer: { enabled: true, runs: 200 },
    // Without a hash of the metadata the bytecode follows from the source and the compiler alone.
    metadata: { bytecodeHash: "none" },
    outputSelection: { "*": { "*": ["evm.bytecode.object", "evm.methodIdentifiers"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
if (output.errors) {
  console.error(output.errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const { evm } = output.contracts["Token.sol"].Token;
const artefact = {
  compiler: solc.version(),
  bytecode: `0x${evm.bytecode.object}`,
  methods: evm.methodIdentifiers,
};
process.stdout.write(`${JSON.stringify(artefact, null, 2)}\n`);
