//! Key generation: checks a circuit and commits to all that is fixed in it.

use kiln_kernels::Engine;

use crate::circuit::Circuit;
use crate::commit::commit_public;
use crate::error::KeyError;
use kiln_verify::VerifyingKey;

use crate::permutation::sigma_columns;
use crate::plan::Plan;
use crate::proving_key::ProvingKey;
use crate::srs::Srs;
use crate::witness::ColumnValues;

/// Makes the keys of a circuit. `fixed` are the values of the fixed columns, `2^k` rows each. Deterministic: whoever
/// has circuit, fixed columns and SRS can check a verifying key by making it again.
///
/// # Errors
/// [`KeyError`] if the circuit breaks a rule (it names the gate, lookup or column), if counts do not fit, if the SRS
/// is too small, or if a kernel fails.
pub fn keygen(
    engine: &Engine,
    srs: &Srs,
    circuit: Circuit,
    fixed: Vec<ColumnValues>,
) -> Result<(ProvingKey, VerifyingKey), KeyError> {
    Plan::new(&circuit)?;
    ProvingKey::check_fixed(&circuit, &fixed)?;
    let fixed_commitments = commit_public(engine, srs, circuit.k, &fixed)?;
    let sigma_commitments = commit_public(engine, srs, circuit.k, &sigma_columns(&circuit))?;
    let vk = VerifyingKey::new(circuit, fixed_commitments, sigma_commitments, srs.verifier())?;
    let pk = ProvingKey::new(vk.clone(), fixed)?;
    Ok((pk, vk))
}
