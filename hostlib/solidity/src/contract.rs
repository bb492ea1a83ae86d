//! The contract's text around the verifier's statements.

use std::fmt::Write;

use ark_bn254::{Fq, Fr, G1Affine};
use ark_ff::{BigInteger, PrimeField};
use kiln_verify::internals::transcript::keccak256;
use kiln_verify::{CommittedPublic, PROOF_VERSION, VerifyingKey};

use crate::error::SolidityError;
use crate::layout::Calldata;
use crate::number::word;
use crate::verifier::Verifier;

/// The part of the verifier that does not depend on the key.
const FUNCTIONS: &str = include_str!("functions.yul");

/// The verifier of one verifying key as a Solidity contract.
pub struct Contract {
    source: String,
    signature: String,
}

/// Committed groups that the contract knows.
pub(crate) struct Groups {
    fixed: Vec<Option<CommittedPublic>>,
}

impl Groups {
    /// Checks that they fit the key.
    pub fn new(vk: &VerifyingKey, fixed: &[CommittedPublic]) -> Result<Self, SolidityError> {
        let declared = &vk.circuit().committed;
        for group in fixed {
            let fits = |declared: &&kiln_verify::circuit::CommittedGroup| {
                declared.name == group.name && declared.columns as usize == group.commitments.len()
            };
            if declared.iter().filter(fits).count() != 1 {
                let all =
                    declared.iter().map(|group| format!("{:?} of {} columns", group.name, group.columns));
                let expected = all.collect::<Vec<_>>().join(", ");
                let got = format!("{:?} of {} columns", group.name, group.commitments.len());
                return Err(SolidityError::Group { expected, got });
            }
        }
        let by_name = |name: &str| fixed.iter().find(|group| group.name == name).cloned();
        Ok(Self { fixed: declared.iter().map(|group| by_name(&group.name)).collect() })
    }

    /// The commitments of a group, if the contract knows them.
    pub fn fixed(&self, group: usize) -> Option<&CommittedPublic> {
        self.fixed.get(group).and_then(Option::as_ref)
    }

    /// Indices of the groups that it does not know.
    pub fn arguments(&self) -> Vec<usize> {
        self.fixed.iter().enumerate().filter(|(_, known)| known.is_none()).map(|(i, _)| i).collect()
    }

    /// The commitment of a column.
    pub fn commitment(&self, vk: &VerifyingKey, column: u32) -> G1Affine {
        let mut before = 0;
        for (group, declared) in vk.circuit().committed.iter().enumerate() {
            if column < before + declared.columns {
                let points = self.fixed(group).map(|group| group.commitments.as_slice());
                return points
                    .and_then(|points| points.get((column - before) as usize))
                    .copied()
                    .unwrap_or_default();
            }
            before += declared.columns;
        }
        G1Affine::default()
    }
}

/// Name and words of each argument.
fn arguments(vk: &VerifyingKey, calldata: &Calldata) -> Vec<(String, usize)> {
    let inputs = ("publicInputs".to_owned(), vk.circuit().public_inputs as usize);
    let groups =
        calldata.groups.iter().map(|(group, _, columns)| (format!("commitments{group}"), 2 * columns));
    let proof = ("proof".to_owned(), calldata.proof_words());
    [inputs].into_iter().chain(groups).chain([proof]).filter(|(_, words)| *words > 0).collect()
}

/// The function's signature, whose hash selects it.
pub(crate) fn signature(vk: &VerifyingKey, calldata: &Calldata) -> String {
    let types = arguments(vk, calldata).into_iter().map(|(_, words)| format!("uint256[{words}]"));
    format!("verify({})", types.collect::<Vec<_>>().join(","))
}

/// First bytes of the calldata.
pub(crate) fn selector(signature: &str) -> [u8; 4] {
    let [a, b, c, d, ..] = keccak256(signature.as_bytes());
    [a, b, c, d]
}

impl Contract {
    /// Writes the verifier of a key. Of each group in `committed` (a model's commitments) the contract accepts proofs about
    /// these very commitments only; groups that are not named are arguments of its function. `title` is a line for the
    /// reader, of which only plain characters are kept.
    ///
    /// # Errors
    /// [`SolidityError::Group`] if the commitments do not fit the key.
    pub fn new(vk: &VerifyingKey, committed: &[CommittedPublic], title: &str) -> Result<Self, SolidityError> {
        let groups = Groups::new(vk, committed)?;
        let calldata = Calldata::new(vk, &groups.arguments());
        let statements = Verifier::write(vk, &groups, &calldata)?;
        let mut source = String::new();
        // Writing to a string does not fail.
        let _ = write_contract(&mut source, vk, &groups, &calldata, title, &statements);
        Ok(Self { source, signature: signature(vk, &calldata) })
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The signature of its function, for example `verify(uint256[2],uint256[97])`.
    pub fn signature(&self) -> &str {
        &self.signature
    }
}

/// Only characters that mean nothing in a comment.
fn plain(text: &str) -> String {
    let keep = |c: char| if c.is_ascii_alphanumeric() || " ._-+".contains(c) { c } else { '?' };
    text.chars().take(200).map(keep).collect()
}

fn write_contract(
    out: &mut String,
    vk: &VerifyingKey,
    groups: &Groups,
    calldata: &Calldata,
    title: &str,
    statements: &[String],
) -> std::fmt::Result {
    let insecure = vk.is_insecure();
    writeln!(out, "// SPDX-License-Identifier: MIT OR Apache-2.0")?;
    writeln!(out, "// Written by Kiln: the verifier of one verifying key.")?;
    writeln!(out, "// {}", plain(title))?;
    if insecure {
        writeln!(
            out,
            "//\n// INSECURE: the key rests on a locally generated reference string, whose maker could forge proofs."
        )?;
        writeln!(out, "// For tests and demonstrations only.")?;
    }
    writeln!(out, "pragma solidity >=0.8.20 <0.9.0;\n")?;
    writeln!(out, "contract KilnVerifier {{")?;
    writeln!(out, "    /// True if whoever made the reference string may be able to forge proofs.")?;
    writeln!(out, "    bool public constant INSECURE_SRS = {insecure};")?;
    writeln!(out, "    /// Names the secret of the reference string.")?;
    let fingerprint = word(&vk.srs().fingerprint());
    writeln!(out, "    bytes32 public constant SRS_FINGERPRINT =\n        {fingerprint};")?;
    writeln!(out, "    /// Digest of the verifying key.")?;
    writeln!(out, "    bytes32 public constant KEY_DIGEST =\n        {};", word(&vk.digest()))?;
    writeln!(out, "    /// Version of the proofs.")?;
    writeln!(out, "    uint256 public constant PROOF_VERSION = {PROOF_VERSION};")?;
    for (i, group) in vk.circuit().committed.iter().enumerate() {
        if let Some(fixed) = groups.fixed(i) {
            let name = plain(&group.name);
            writeln!(out, "    /// Id of the committed group {name} that every proof is about.")?;
            writeln!(out, "    bytes32 public constant COMMITTED_ID_{i} =\n        {};", word(&fixed.id()))?;
        }
    }
    write_function(out, vk, calldata, statements)?;
    writeln!(out, "}}")
}

fn write_function(
    out: &mut String,
    vk: &VerifyingKey,
    calldata: &Calldata,
    statements: &[String],
) -> std::fmt::Result {
    let arguments = arguments(vk, calldata);
    let parameters = arguments.iter().map(|(name, words)| format!("uint256[{words}] calldata {name}"));
    let parameters = parameters.collect::<Vec<_>>().join(", ");
    let r = word(&Fr::MODULUS.to_bytes_be());
    let q = word(&Fq::MODULUS.to_bytes_be());
    writeln!(
        out,
        "\n    /// True if the proof is valid, false if it is not, whatever is wrong with it. The calldata must be exactly as"
    )?;
    writeln!(
        out,
        "    /// long as the arguments. Do not call this with little gas: a precompile that runs out of it refuses the proof."
    )?;
    writeln!(out, "    function verify({parameters}) external view returns (bool valid) {{")?;
    writeln!(out, "        assembly {{")?;
    let mut functions = FUNCTIONS.replace("ORDER_OF_GROUP", &r).replace("ORDER_OF_FIELD", &q);
    functions = functions.replace("TRANSCRIPT", &crate::number::hex(crate::layout::SCRATCH_END));
    for line in functions.lines() {
        writeln!(out, "            {line}")?;
    }
    // Every path below returns by itself; this only names the result.
    writeln!(out, "            valid := 0")?;
    writeln!(out, "            let r := {r}")?;
    let mut offset = calldata.public_inputs;
    for (name, words) in &arguments {
        writeln!(out, "            if iszero(eq({name}, {offset})) {{ refuse() }}")?;
        offset += words * crate::layout::WORD;
    }
    for statement in statements {
        writeln!(out, "            {statement}")?;
    }
    writeln!(out, "        }}\n    }}")
}
