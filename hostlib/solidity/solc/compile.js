// Compiles a contract from standard input with solc-js, whose folder is the first argument; prints bytecode as JSON.
const path = require("path");
const solc = require(path.resolve(process.argv[2], "node_modules", "solc"));
const source = require("fs").readFileSync(0, "utf8");
const input = {
  language: "Solidity",
  sources: { "KilnVerifier.sol": { content: source } },
  settings: {
    optimizer: { enabled: true, runs: 1000000 },
    evmVersion: "shanghai",
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["evm.bytecode.object", "evm.deployedBytecode.object", "evm.methodIdentifiers"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const messages = (output.errors || []).map((error) => error.formattedMessage);
const contract = ((output.contracts || {})["KilnVerifier.sol"] || {}).KilnVerifier;
const evm = contract ? contract.evm : { bytecode: {}, deployedBytecode: {} };
console.log(JSON.stringify({
  version: solc.version(),
  messages,
  creation: evm.bytecode.object || "",
  runtime: evm.deployedBytecode.object || "",
  functions: evm.methodIdentifiers || {},
}));
