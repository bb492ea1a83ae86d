//! Checks a proof. Needs the proof, the verifying key and the public values, and neither model nor reference string.
//!
//! ```console
//! $ kiln verify --proof proof.bin --vk model.vk --public public.json
//! $ kiln verify --proof proof.bin --vk model.vk --public public.json --model-id 5f0c…
//! ```
//! With `--model-id` it also checks that the proof is about that very model: use it whenever the id was published
//! before the proof was made. Exit code 0 means valid, 1 means that the proof does not show what the public values say,
//! 2 that some file is not what it should be.
//!
//! If the verifying key rests on a locally generated reference string, its maker could forge proofs: a warning says
//! INSECURE on standard error and in the result.
