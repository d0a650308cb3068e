// Compiles a contract and prints the artefact: node contracts/compile.cjs Token > contracts/Token.json
const fs = require("node:fs");
const path = require("node:path");
const solc = require("solc");

const name = process.argv[2];
const file = `${name}.sol`;
const input = {
  language: "Solidity",
  sources: { [file]: { content: fs.readFileSync(path.join(__dirname, file), "utf8") } },
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
const { evm } = output.contracts[file][name];
const artefact = {
  compiler: solc.version(),
  bytecode: `0x${evm.bytecode.object}`,
  methods: evm.methodIdentifiers,
};
process.stdout.write(`${JSON.stringify(artefact, null, 2)}\n`);
