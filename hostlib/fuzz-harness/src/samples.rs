//! Valid keys, proofs and files of small circuits, the same ones in every run.

use std::io::Cursor;
use std::sync::LazyLock;

use crate::meaning::{InputVisibility, Meaning, Port, SCHEMA, WeightVisibility};
use crate::public::{Commitment, PublicFile, PublicInput};
use ark_bn254::Fr;
use kiln_kernels::Engine;
use kiln_plonk::{KeyFileError, ProvingKey, Srs};
use kiln_verify::{Statement, VerifyingKey};
use sha3::{Digest, Keccak256};

use crate::ptau_file;
use crate::sample::{Sample, Setting};

/// Bytes of a key file before its body: magic, version, length.
pub const FILE_HEADER_BYTES: usize = 8 + 4 + 8;
/// Bytes of a key file after its body.
pub const CHECKSUM_BYTES: usize = 32;

/// A circuit with all that belongs to it.
pub struct Valid {
    /// Its verifying key.
    pub vk: VerifyingKey,
    /// What is proven.
    pub statement: Statement,
    /// The proof.
    pub proof: Vec<u8>,
    /// What the public inputs mean.
    pub meaning: Meaning,
    /// The statement as the command line writes it.
    pub public: PublicFile,
    /// The verifying key as a file.
    pub vk_file: Vec<u8>,
    /// The proving key as a file.
    pub pk_file: Vec<u8>,
    /// The public half of the committed group as a file.
    pub public_group_file: Vec<u8>,
    /// The secret half of the committed group as a file.
    pub secret_group_file: Vec<u8>,
}

/// A file of a reference string.
pub struct SrsFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How many rows' logarithm it serves.
    pub k: u32,
    /// A ceremony's, not our own.
    pub ptau: bool,
}

static VALID: LazyLock<Vec<Valid>> = LazyLock::new(|| {
    let mut all = vec![valid(Sample::new(2, 3)), valid(Sample::new(3, 4)), valid(plain(Sample::new(2, 3)))];
    // One key in the form of large ones.
    all[2].pk_file = without_coefficients(&all[2].pk_file);
    all
});

static SRS_FILES: LazyLock<Vec<SrsFile>> = LazyLock::new(|| {
    let own = |k| SrsFile { bytes: written_srs(&Srs::insecure_local(k, [7; 32]).unwrap()), k, ptau: false };
    let sections = ptau_file::sections(6, Fr::from(5));
    vec![own(1), own(3), SrsFile { bytes: ptau_file::file(&sections), k: 3, ptau: true }]
});

/// The valid samples.
pub fn valid_samples() -> &'static [Valid] {
    &VALID
}

/// The reference strings.
pub fn srs_files() -> &'static [SrsFile] {
    &SRS_FILES
}

/// Neither lookups nor copies nor phases.
fn plain(mut sample: Sample) -> Sample {
    let circuit = &mut sample.circuit;
    circuit.lookups.clear();
    circuit.tables.clear();
    circuit.copies.clear();
    circuit.copy_columns.clear();
    circuit.gates.truncate(2);
    circuit.challenges.clear();
    circuit.instance.clear();
    circuit.instance_cells.clear();
    circuit.advice.truncate(4);
    sample
}

fn valid(mut sample: Sample) -> Valid {
    let output = Port::new(vec![sample.values.len()], 0.25);
    let meaning = Meaning {
        schema: SCHEMA.into(),
        model: "sample".into(),
        weights: WeightVisibility::Hidden,
        input_visibility: InputVisibility::Private,
        input: Port::new(vec![1], 0.5),
        inputs: Vec::new(),
        output,
    };
    sample.circuit.meaning = meaning.to_text();
    let output = sample.values.iter().map(|value| i64::from(*value)).collect();
    let setting = Setting::new(sample);
    let model = Commitment::new(&setting.statement.committed[0]);
    let vk_file = setting.vk.to_file_bytes();
    let pk_file = written_key(&setting.pk);
    let public_group_file = setting.statement.committed[0].to_file_bytes();
    let secret_group_file = written(|out| setting.secret[0].write(out));
    let proof = setting.prove(1);
    Valid {
        public: PublicFile::new(&setting.vk, &meaning, model, PublicInput::Private {}, output),
        vk: setting.vk,
        statement: setting.statement,
        proof,
        meaning,
        vk_file,
        pk_file,
        public_group_file,
        secret_group_file,
    }
}

/// A proving key as a file.
pub fn written_key(key: &ProvingKey) -> Vec<u8> {
    static ENGINE: LazyLock<Engine> =
        LazyLock::new(|| Engine::new(vec![kiln_kernels::reference::device()]).unwrap());
    key.write(&ENGINE, Cursor::new(Vec::new())).unwrap().into_inner()
}

/// A file of the same proving key without coefficients.
fn without_coefficients(pk_file: &[u8]) -> Vec<u8> {
    let key = ProvingKey::read(pk_file).unwrap();
    key.write_values(Cursor::new(Vec::new())).unwrap().into_inner()
}

/// What `write` writes.
pub fn written(write: impl FnOnce(&mut Vec<u8>) -> Result<(), KeyFileError>) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes).unwrap();
    bytes
}

/// A key file with this body: length and checksum are made to fit.
pub fn sealed(like: &[u8], body: &[u8]) -> Vec<u8> {
    let mut file = like[..FILE_HEADER_BYTES - 8].to_vec();
    file.extend((body.len() as u64).to_be_bytes());
    file.extend(body);
    let checksum = Keccak256::digest(&file);
    file.extend(checksum);
    file
}

/// The body of a valid key file.
pub fn body(file: &[u8]) -> &[u8] {
    &file[FILE_HEADER_BYTES..file.len() - CHECKSUM_BYTES]
}

/// The file of a reference string.
pub fn written_srs(srs: &Srs) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("srs");
    srs.write_to(&path).unwrap();
    std::fs::read(path).unwrap()
}
